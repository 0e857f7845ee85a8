"""`keras.ops` control flow in a traced graph: cond, switch, while_loop, and fori_loop over tensors.

On PyTorch Keras chooses by a tensor's value in Python, which a trace has none of. Here each branch, or body, is traced
where it stands, its stretch of the graph is taken out as a graph of its own, and one node runs what the value asks for.
Variables that a branch assigns to are among its results.
"""

from __future__ import annotations

import contextlib
import itertools
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import torch
from keras.src.backend import get_stateless_scope
from torch._subclasses.fake_tensor import FakeTensor
from torch.fx.experimental.proxy_tensor import (
    disable_proxy_modes_tracing,
    get_proxy_mode,
    get_proxy_slot,
    track_tensor_tree,
)
from torch.fx.node import has_side_effect

from unikeras._keras import hooks
from unikeras._keras.scopes import WriteOnce, recording_scope

DIFFERENT_BRANCHES = "the branches return different structures, shapes or dtypes"
DIFFERENT_STATE = "the body of the loop returns another structure, other shapes or dtypes than it takes"


def install() -> None:
    """Put operators that can be traced in the place of Keras' own."""
    for name, make in _OPERATORS.items():
        hooks.use(f"keras.src.backend.torch.core.{name}", make)


def choose(index: Any, branches: Sequence[Any], operands: Sequence[Sequence[Any]]) -> Any:
    """Run one of several graphs; a node of the graph around them.

    Args:
        index: a tensor of one number, or of one flag, which chooses the first where it is true.
        branches: modules.
        operands: the tensors that each of them takes.
    """
    chosen = int(index) if index.dtype is not torch.bool else int(not index)
    return branches[chosen](*operands[chosen])


def repeat(
    graphs: Sequence[Any], operands: Sequence[Sequence[Any]], state: Sequence[Any], limit: int | None
) -> Any:
    """Run a graph as long as another one says so; a node of the graph around them.

    Args:
        graphs: modules: the condition, and the body.
        operands: the tensors that each of them takes besides the state.
        state: the tensors that both take first, and that the body returns.
        limit: how often the body runs at most.
    """
    condition, body = graphs
    state, count = tuple(state), 0
    while condition(*state, *operands[0])[0] and (limit is None or count < limit):
        state, count = body(*state, *operands[1]), count + 1
    return state


has_side_effect(choose)
has_side_effect(repeat)


def _cond(own: Callable[..., Any]) -> Callable[..., Any]:
    def cond(pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
        if not _is_traced(pred):
            return own(pred, true_fn, false_fn)
        pred = keras.ops.convert_to_tensor(pred).bool()
        return _choose(pred, [true_fn, false_fn], lambda: own(pred, true_fn, false_fn))

    return cond


def _switch(own: Callable[..., Any]) -> Callable[..., Any]:
    def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
        if not _is_traced(index):
            return own(index, branches, *operands)
        index = torch.clamp(keras.ops.convert_to_tensor(index, "int32"), 0, len(branches) - 1)
        runs = [lambda branch=branch: branch(*operands) for branch in branches]
        return _choose(index, runs, lambda: own(index, branches, *operands))

    return switch


def _while_loop(own: Callable[..., Any]) -> Callable[..., Any]:
    def while_loop(cond: Any, body: Any, loop_vars: Any, maximum_iterations: int | None = None) -> Any:
        is_tuple = isinstance(loop_vars, tuple | list)
        state = keras.tree.map_structure(
            keras.ops.convert_to_tensor, tuple(loop_vars) if is_tuple else (loop_vars,)
        )
        if recording_scope() is None or not _is_traced(keras.ops.convert_to_tensor(cond(*state))):
            return own(cond, body, loop_vars, maximum_iterations)
        again = lambda: own(cond, body, loop_vars, maximum_iterations)  # noqa: E731
        last = _repeat(cond, body, state, maximum_iterations, again)
        return last if is_tuple else last[0]

    return while_loop


def _fori_loop(own: Callable[..., Any]) -> Callable[..., Any]:
    def fori_loop(lower: Any, upper: Any, body_fun: Callable[..., Any], init_val: Any) -> Any:
        if not (_is_traced(lower) or _is_traced(upper)):
            return own(lower, upper, body_fun, init_val)
        return keras.ops.while_loop(
            lambda i, value: i < upper,
            lambda i, value: (i + 1, body_fun(i, value)),
            (keras.ops.convert_to_tensor(lower), init_val),
        )[1]

    return fori_loop


_OPERATORS = {"cond": _cond, "switch": _switch, "while_loop": _while_loop, "fori_loop": _fori_loop}


def _is_traced(value: Any) -> bool:
    value = value.value if isinstance(value, keras.Variable) else value
    return isinstance(value, FakeTensor) and value.device.type != "meta" and recording_scope() is not None


@dataclass
class _Stretch:
    """A part of the graph that was taken out.

    Attributes:
        module: the name of it, as a graph of its own, among the attributes of the graph around it.
        operands: the nodes of the graph around it that it reads, in the order of its inputs.
    """

    module: str
    operands: list[torch.fx.Node]


@dataclass
class _Run:
    """What a branch did when it was traced: results, and assignments that are held back."""

    marks: Any
    tensors: list[Any]
    scope: WriteOnce

    @property
    def kind(self) -> Any:
        """What branches have in common that fit."""
        return self.marks, [(tuple(tensor.shape), tensor.dtype) for tensor in self.tensors]

    def finish(self, variables: Sequence[Any]) -> list[Any]:
        """Return the results, and what the variables are after it, in memory of their own."""
        values = [self.scope.get_current_value(variable) for variable in variables]
        return [tensor.clone(memory_format=torch.contiguous_format) for tensor in [*self.tensors, *values]]

    def pack(self, tensors: Sequence[Any]) -> Any:
        """Return tensors in the structure of the results."""
        remaining = iter(tensors)
        return keras.tree.map_structure(lambda is_none: None if is_none else next(remaining), self.marks)


def _run(f: Callable[[], Any], variables: Sequence[Any] = (), values: Sequence[Any] = ()) -> _Run:
    with WriteOnce(variables, values) as scope:
        result = f()
    marks = keras.tree.map_structure(lambda leaf: leaf is None, result, none_is_leaf=True)
    leaves = [leaf for leaf in keras.tree.flatten(result) if leaf is not None]
    return _Run(marks, [keras.ops.convert_to_tensor(leaf) for leaf in leaves], scope)


def _discover(f: Callable[[], Any]) -> _Run:
    """Run a branch to see what it returns and assigns, and forget its nodes."""
    before = _last_node()
    with _outer_tensors_kept():
        run = _run(f)
    _erase(_nodes_after(before))
    return run


@contextlib.contextmanager
def _outer_tensors_kept() -> Iterator[None]:
    """Let tensors of the graph around a branch be what they are there, where the branch changes them in place.

    The part of the graph that is the branch changes their memory when it runs.
    """
    tracked = _tracer().tensor_tracker
    before = list(tracked.items())
    try:
        yield
    finally:
        for tensor, proxy in before:
            tracked[tensor] = proxy


def _choose(index: Any, branches: Sequence[Callable[[], Any]], untraced: Callable[[], Any]) -> Any:
    runs = [_discover(branch) for branch in branches]
    if any(run.kind != runs[0].kind for run in runs):
        raise TypeError(DIFFERENT_BRANCHES)
    if any(tensor.requires_grad for run in runs for tensor in run.tensors):
        return untraced()  # a tape would go back through the branch that was chosen
    written = _written(runs)
    stretches = []
    for branch in branches:
        before = _last_node()
        with _outer_tensors_kept():
            run = _run(branch)
            results = run.finish(written)
            stretches.append(_take_out(before, results))
    node = _tracer().graph.call_function(
        choose,
        (
            _node_of(index),
            tuple(_attribute(stretch.module) for stretch in stretches),
            tuple(tuple(stretch.operands) for stretch in stretches),
        ),
    )
    return _hand_out(node, run, results, written)


def _repeat(
    condition: Callable[..., Any], body: Callable[..., Any], state: Any, limit: int | None, untraced: Any
) -> Any:
    initial = [tensor.clone() for tensor in keras.tree.flatten(state)]
    if any(tensor.requires_grad for tensor in initial):
        return untraced()

    def packed(tensors: Sequence[Any]) -> Any:
        return keras.tree.pack_sequence_as(state, list(tensors))

    def step(tensors: Sequence[Any]) -> Callable[[], Any]:
        def run() -> Any:
            after = body(*packed(tensors))
            return tuple(after) if isinstance(after, tuple | list) else (after,)

        return run

    run = _discover(step(initial))
    if run.kind != _run(lambda: state).kind:
        raise TypeError(DIFFERENT_STATE)
    if any(tensor.requires_grad for tensor in run.tensors):
        return untraced()
    written = _written([run])
    scope = get_stateless_scope()
    carried = [*initial, *(scope.get_current_value(variable).clone() for variable in written)]
    before = _last_node()
    inside = _placeholders(carried)
    values = inside[len(initial) :]
    with _outer_tensors_kept():
        checked = _run(lambda: condition(*packed(inside[: len(initial)])), written, values)
        test = _take_out(before, checked.finish([]))
    before = _last_node()
    inside = _placeholders(carried)
    with _outer_tensors_kept():
        run = _run(step(inside[: len(initial)]), written, inside[len(initial) :])
        results = run.finish(written)
        once = _take_out(before, results)
    node = _tracer().graph.call_function(
        repeat,
        (
            (_attribute(test.module), _attribute(once.module)),
            (tuple(test.operands), tuple(once.operands)),
            tuple(map(_node_of, carried)),
            limit,
        ),
    )
    return packed(keras.tree.flatten(_hand_out(node, run, results, written)))


def _written(runs: Sequence[_Run]) -> list[Any]:
    return list({id(variable): variable for run in runs for variable in run.scope.written}.values())


def _hand_out(node: torch.fx.Node, run: _Run, results: Sequence[Any], written: Sequence[Any]) -> Any:
    """Return the results of a node in the structure of one of its branches, and assign to the variables."""
    tracer = _tracer()
    with disable_proxy_modes_tracing():
        outputs = [_symbol_like(result) for result in results]
    for number, output in enumerate(outputs):
        part = torch.fx.Proxy(tracer.graph.call_function(operator.getitem, (node, number)), tracer)
        track_tensor_tree(output, part, constant=None, tracer=tracer)
    count = len(run.tensors)
    for variable, value in zip(written, outputs[count:], strict=True):
        variable.assign(value)
    return run.pack(outputs[:count])


def _tracer() -> Any:
    mode = get_proxy_mode()
    assert mode is not None
    return mode.tracer


def _last_node() -> torch.fx.Node:
    return next(iter(reversed(_tracer().graph.nodes)))


def _nodes_after(node: torch.fx.Node) -> list[torch.fx.Node]:
    return list(itertools.takewhile(lambda other: other is not node, reversed(_tracer().graph.nodes)))[::-1]


def _erase(nodes: Sequence[torch.fx.Node]) -> None:
    for node in reversed(nodes):
        _tracer().graph.erase_node(node)


def _node_of(tensor: Any) -> torch.fx.Node:
    return get_proxy_slot(tensor, _tracer()).proxy.node


def _placeholders(like: Sequence[Any]) -> list[Any]:
    """Make inputs for a part of the graph that is about to be taken out."""
    tracer, made = _tracer(), []
    for tensor in like:
        with disable_proxy_modes_tracing():
            inside = _symbol_like(tensor)
        proxy = torch.fx.Proxy(tracer.graph.create_node("placeholder", "carried"), tracer)
        track_tensor_tree(inside, proxy, constant=None, tracer=tracer)
        made.append(inside)
    return made


def _symbol_like(tensor: Any) -> Any:
    # Not torch.empty_like: where it is known what numbers a tensor has, it would be known of this one too.
    return torch.empty(tensor.shape, dtype=tensor.dtype, device=tensor.device)


def _attribute(name: str) -> torch.fx.Node:
    return _tracer().graph.create_node("get_attr", name)


def _take_out(before: torch.fx.Node, results: Sequence[Any]) -> _Stretch:
    """Make a module of the nodes after one, and take them out of the graph."""
    nodes = _nodes_after(before)
    results = [_node_of(result) for result in results]
    inside, graph = set(nodes), torch.fx.Graph()
    operands = list(dict.fromkeys(arg for node in nodes for arg in node.all_input_nodes if arg not in inside))
    own = [node for node in nodes if node.op == "placeholder"]
    copies = {node: graph.placeholder(node.name) for node in [*own, *operands]}
    for node, copy in copies.items():
        copy.meta = dict(node.meta)
    for node in nodes:
        if node.op != "placeholder":
            copies[node] = graph.node_copy(node, copies.__getitem__)
    graph.output(tuple(copies[result] for result in results))
    root = _tracer().root
    name = f"part_{sum(attribute.startswith('part_') for attribute in vars(root)['_modules'])}"
    setattr(root, name, torch.fx.GraphModule(root, graph))
    _erase(nodes)
    return _Stretch(name, operands)
