"""One graph of ATen operators for a whole function: `make_fx` over fake tensors, with variables as inputs.

Everything that Python does runs once, on tensors that have shapes and no values: Keras' layers, the tape, the
optimizer, the metrics. A variable becomes an input of the graph when it is first read. What is assigned to it becomes
an output, so that a program which fails has changed nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import torch
from keras.src.backend import get_stateless_scope
from keras.src.backend.common.variables import initialize_all_variables
from keras.src.backend.torch.core import to_torch_dtype
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.fx.experimental.proxy_tensor import (
    disable_proxy_modes_tracing,
    get_proxy_mode,
    make_fx,
    track_tensor_tree,
)
from torch.utils._python_dispatch import _disable_current_modes

from unikeras._keras.scopes import RecordingScope, recording_scope
from unikeras.backends._contract import TensorFunction
from unikeras.backends.torch._inputs import Inputs
from unikeras.backends.torch._layer_scopes import note_scopes
from unikeras.backends.torch._levels import below_transforms, is_transformed


@dataclass
class Trace:
    """What one run of a function on fake tensors left.

    Attributes:
        graph: its inputs are the function's arguments, then the values of `state`; its outputs the results, then the
            new values of `written`.
        holder: the module that holds the tensors which the graph names.
        state: the variables whose values are inputs; each has the tensor as `_value`.
        written: those of them that were assigned to.
        results: how many results there are.
        created: whether variables were created; then the graph is of no use.
        returns_arguments: whether a result has the memory of an argument.
    """

    graph: torch.fx.Graph
    holder: torch.nn.Module
    state: list[Any]
    written: list[Any]
    results: int
    created: bool
    returns_arguments: bool


def own(variables: Sequence[Any]) -> None:
    """Give variables memory of their own in the program, because Keras changes them in place."""
    if recording_scope() is not None:
        scope = get_stateless_scope()
        for variable in variables:
            scope.add_update((variable, scope.get_current_value(variable).clone()))


class LiftingScope(RecordingScope):
    """Makes an input of the graph of each variable that is read."""

    def __init__(self, lifted: _Lifted) -> None:
        super().__init__(initialize_variables=False)
        self._lifted = lifted

    def first_value(self, variable: Any) -> Any:
        with below_transforms():
            value = self.state_mapping[id(variable)] = self._lifted.lift(variable)
        return value

    def add_update(self, update: tuple[Any, Any]) -> None:
        variable, value = update
        self.get_current_value(variable)  # what is written is state, whether it was read or not
        super().add_update((variable, self._lifted.as_own(value)))

    def outside(self) -> AbstractContextManager[Any]:
        return _disable_current_modes()

    def has_value(self, tensor: Any) -> bool:
        return not isinstance(tensor, FakeTensor)


@dataclass
class _Lifted:
    """The variables that have become inputs of the graph."""

    mode: FakeTensorMode
    variables: list[Any] = field(default_factory=list)
    created: bool = False
    _storages: set[int] = field(default_factory=set)

    def lift(self, variable: Any) -> Any:
        with below_transforms():  # else it would belong to a transform that is under way
            return self._lift(variable)

    def _lift(self, variable: Any) -> Any:
        fake = self._symbol(variable)
        tracer = get_proxy_mode().tracer
        inputs = [node for node in tracer.graph.nodes if node.op == "placeholder"]
        name = f"state_{len(self.variables)}"
        with tracer.graph.inserting_after(inputs[-1]):
            proxy = tracer.create_proxy("placeholder", name, (), {}, name=name)
        track_tensor_tree(fake, proxy, constant=None, tracer=tracer)
        self.variables.append(variable)
        self._storages.add(_storage(fake))
        return fake

    def _symbol(self, variable: Any) -> Any:
        if variable._value is None:  # created in this run, which shows shapes, and is repeated for the graph
            self.created = True
            with disable_proxy_modes_tracing():
                return torch.empty(variable.shape, dtype=to_torch_dtype(variable.dtype))
        with _disable_current_modes():
            value = variable._value.detach()
        return self.mode.from_tensor(value, static_shapes=True)

    def as_own(self, value: Any) -> Any:
        """Return a tensor that shares no memory with a variable's, which may be written to before this is read."""
        if is_transformed(value):
            return value  # computed under a transform, in memory of its own
        return value.clone() if _storage(value) in self._storages else value


def _storage(tensor: Any) -> int:
    return int(tensor.untyped_storage()._cdata)


def trace(f: TensorFunction, inputs: Inputs) -> Trace:
    """Run a function once on fake tensors.

    Args:
        f: takes and returns native tensors.
        inputs: its arguments.
    """
    lifted = _Lifted(inputs.mode)
    results: list[Any] = []
    scope = LiftingScope(lifted)

    def run(_: Any, *arguments: Any) -> list[Any]:
        note_scopes(get_proxy_mode().tracer)
        with scope:
            results.extend(f(arguments))
        written = list(scope.written.values())
        new = [scope.state_mapping[id(variable)] for variable in written]
        return [lifted.as_own(_detached(value)) for value in results] + [_detached(value) for value in new]

    try:
        # Where a function has no arguments, the first input says where inputs end.
        with inputs.mode, torch.no_grad():
            module = make_fx(run, _allow_non_fake_inputs=True)(torch.empty(()), *inputs.examples)
    finally:
        with _disable_current_modes():
            initialize_all_variables()
    graph = _flat(module.graph)
    arguments = set(map(_storage, inputs.examples))
    return Trace(
        graph,
        module,
        lifted.variables,
        list(scope.written.values()),
        len(results),
        lifted.created,
        any(not is_transformed(result) and _storage(result) in arguments for result in results),
    )


def _detached(tensor: Any) -> Any:
    return tensor.detach() if tensor.requires_grad else tensor


def _flat(graph: torch.fx.Graph) -> torch.fx.Graph:
    """Let a graph take its inputs one by one, without the first, and return one tuple."""
    graph.set_codegen(torch.fx.graph.CodeGen())
    graph.erase_node(next(iter(graph.nodes)))
    output = graph.output_node()
    output.args = (tuple(output.args[0]),)
    return graph
