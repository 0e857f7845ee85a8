"""One graph of a torch program, run with Keras' operations, node by node.

Python runs here only while a `uk.function` is traced, or in eager execution.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unikeras._specs.torch_program import ProgramGraph, ProgramNode, TorchProgram
from unikeras.errors import UnknownOperator
from unikeras.interop._program_dtypes import (
    ARITHMETIC,
    COMPARISONS,
    as_result,
    cast_tensors,
    common_dtype,
    is_among,
)
from unikeras.interop.operators import Rule, find, reason

# Where the probability of a draw stands among the arguments: by position, and by keyword.
_PROBABILITIES = {
    "aten.native_dropout": (1, "p"),
    "aten.dropout": (1, "p"),
    "aten.alpha_dropout": (1, "p"),
    "aten.feature_dropout": (1, "p"),
    "aten.feature_alpha_dropout": (1, "p"),
    "aten.scaled_dot_product_attention": (4, "dropout_p"),
    "unikeras_program.lstm": (5, "dropout"),
    "unikeras_program.gru": (5, "dropout"),
    "unikeras_program.rnn_tanh": (5, "dropout"),
    "unikeras_program.rnn_relu": (5, "dropout"),
}
# Their first argument is no operand: it is the condition.
_CONDITIONAL = frozenset(["aten.where"])


@dataclass(frozen=True)
class _Step:
    """A node with its rule, and the names of the values that nothing reads after it."""

    node: ProgramNode
    rule: Rule
    last_reads: tuple[str, ...]


class Runner:
    """Computes one graph.

    Args:
        program: what the graph is part of.
        graph: of one mode.
    """

    def __init__(self, program: TorchProgram, graph: ProgramGraph) -> None:
        self.graph = graph
        dtypes = {variable.name: variable.dtype for variable in program.variables}
        self._dtypes: dict[str, Any] = {one.name: one.dtype for one in program.inputs}
        self._dtypes.update({node: dtypes[name] for node, name in graph.held.items()})
        self._dtypes.update({node.name: node.dtype for node in graph.nodes})
        self._steps = list(_steps(graph))
        self.is_seeded = any(step.rule.is_seeded for step in self._steps)

    def __call__(
        self, given: Mapping[str, Any], seed: Any, watched: Collection[str] = (), draws: bool = True
    ) -> tuple[list[Any], dict[str, Any]]:
        """Run the graph.

        Args:
            given: a value for each name of `graph.inputs`.
            seed: the `SeedGenerator` of operators that draw.
            watched: names of nodes whose values are wanted.
            draws: whether dropout drops; False computes it as if its probability were 0.

        Returns:
            The values of `graph.outputs`, and those that are watched, by name.
        """
        values, kept = dict(given), {}
        for step in self._steps:
            try:
                value = self._compute(step, values, seed, draws)
            except Exception as error:
                _say_where(error, step.node)
                raise
            values[step.node.name] = value
            if step.node.name in watched:
                kept[step.node.name] = value
            for name in step.last_reads:
                del values[name]
        return _resolved(list(self.graph.outputs), values), kept

    def _compute(self, step: _Step, values: Mapping[str, Any], seed: Any, draws: bool) -> Any:
        node = step.node
        args = [_resolved(one, values) for one in node.args]
        kwargs = {name: _resolved(one, values) for name, one in node.kwargs.items()}
        if is_among(node.operator, ARITHMETIC) and isinstance(node.dtype, str):
            first = 1 if is_among(node.operator, _CONDITIONAL) else 0
            args[first:] = [cast_tensors(one, node.dtype) for one in args[first:]]
            kwargs = {name: cast_tensors(one, node.dtype) for name, one in kwargs.items()}
        elif is_among(node.operator, COMPARISONS):
            dtype = common_dtype(zip(args, map(self._dtype_of, node.args), strict=True))
            args = [cast_tensors(one, dtype) for one in args]
        if step.rule.is_seeded:
            kwargs["seed"] = seed
            if not draws:
                _remove_draws(node, args, kwargs)
        return as_result(step.rule.compute(*args, **kwargs), node.dtype)

    def _dtype_of(self, argument: Any) -> Any:
        return self._dtypes.get(argument.get("node", "")) if isinstance(argument, dict) else None


def check_operators(program: TorchProgram) -> None:
    """Raise where operators have no rule.

    Raises:
        UnknownOperator: the message has all of them, where each stands, and what to do.
    """
    places: dict[str, dict[str, None]] = {}
    for node in (*program.eval.nodes, *program.train.nodes):
        if find(node.operator) is None:
            places.setdefault(node.operator, {})[place_of(node)] = None
    if not places:
        return
    lines = [f"  {name}: {_some(list(where))}{_because(name)}" for name, where in places.items()]
    # An operator without a reason only waits for its rule: the advice is for it, where there is one.
    name = min(places, key=lambda one: reason(one) is not None).rpartition(".")[0]
    advice = (
        "give each a rule in Keras' operations, and import the module again:\n"
        f'  @uk.interop.register_operator("{name}")\n'
        f"  def {name.rpartition('.')[2]}(x, *arguments, **keywords):  # torch's own, tensors of Keras\n"
        "      return keras.ops...\n"
        "a model that was saved with such a rule needs it when it is loaded"
    )
    raise UnknownOperator(
        "\n".join([f"{program.name} uses operators that have no rule here:", *lines, advice]),
        {name: list(where) for name, where in places.items()},
    )


def drawing_operators(graph: ProgramGraph) -> set[str]:
    """Return the operators whose random numbers no probability turns off, so that no two frameworks agree."""
    seeded = {node.operator for node in graph.nodes if (rule := find(node.operator)) and rule.is_seeded}
    return {name for name in seeded if _probability_of(name) is None}


def place_of(node: ProgramNode) -> str:
    """Return where a node comes from, such as `"encoder.0 (torch.nn.Linear), model.py:12, in forward"`."""
    path, kind = node.module
    return (
        f"{path or 'the module itself'}{f' ({kind})' if kind else ''}{f', {node.line}' if node.line else ''}"
    )


def _say_where(error: Exception, node: ProgramNode) -> None:
    """Add the place to the message: Keras makes a new error of the message alone, and loses notes."""
    where = f"in {node.operator} of {place_of(node)}"
    if error.args and isinstance(error.args[0], str):
        error.args = (f"{error.args[0]}\n{where}", *error.args[1:])
    else:
        error.add_note(where)


def _because(operator: str) -> str:
    said = reason(operator)
    return f"\n    {said}" if said else ""


def _some(places: Sequence[str]) -> str:
    rest = len(places) - 3
    return "; ".join([*places[:3], *([f"and {rest} more"] if rest > 0 else [])])


def _probability_of(operator: str) -> tuple[int, str] | None:
    return _PROBABILITIES.get(operator.rpartition(".")[0]) or _PROBABILITIES.get(operator)


def _remove_draws(node: ProgramNode, args: list[Any], kwargs: dict[str, Any]) -> None:
    position, name = _probability_of(node.operator) or (len(args), "")
    if position < len(args):
        args[position] = 0.0
    elif name in kwargs:
        kwargs[name] = 0.0


def _steps(graph: ProgramGraph) -> Iterator[_Step]:
    last: dict[str, int] = {}
    for at, node in enumerate(graph.nodes):
        last.update(dict.fromkeys(_names_in([list(node.args), list(node.kwargs.values())]), at))
        last.setdefault(node.name, at)  # what nothing reads goes at once
    for name in _names_in(list(graph.outputs)):
        last.pop(name, None)
    freed: dict[int, list[str]] = {}
    for name, at in last.items():
        freed.setdefault(at, []).append(name)
    for at, node in enumerate(graph.nodes):
        rule = find(node.operator)
        assert rule is not None, node.operator  # check_operators came before
        yield _Step(node, rule, tuple(freed.get(at, ())))


def _names_in(argument: Any) -> Iterator[str]:
    if isinstance(argument, list | tuple):
        for inner in argument:
            yield from _names_in(inner)
    elif isinstance(argument, dict) and "node" in argument:
        yield argument["node"]


def _resolved(argument: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(argument, list | tuple):
        return [_resolved(inner, values) for inner in argument]
    if not isinstance(argument, dict):
        return argument
    kind, inner = next(iter(argument.items()))
    return values[inner] if kind == "node" else float(inner) if kind == "number" else inner
