"""A traced graph that is ready to run: its values of variables are read before, and written after."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch

from unikeras._base.signals import interrupts_wait
from unikeras._keras.scopes import is_recording, take_created_variables
from unikeras.backends._contract import Program, TensorFunction
from unikeras.backends.torch import _assign, _augmentation, _control_flow, _draws, _modules, passes
from unikeras.backends.torch._bound_operators import bind_operators
from unikeras.backends.torch._content import look_into
from unikeras.backends.torch._fused_normalization import fused_normalization
from unikeras.backends.torch._fused_optimizers import fused_updates
from unikeras.backends.torch._fused_recurrence import fused_recurrence
from unikeras.backends.torch._indexing import TensorIndices
from unikeras.backends.torch._inputs import FixedSizeError, Inputs
from unikeras.backends.torch._native import native_training_refused
from unikeras.backends.torch._numbers import traceable_numbers
from unikeras.backends.torch._tracing import Trace, trace


def compile_program(
    f: TensorFunction,
    shapes: Sequence[tuple[int | None, ...]],
    dtypes: Sequence[Any],
    sizes: Sequence[tuple[int, ...]] | None,
    jit_compile: bool | str,
) -> Program:
    """Trace a function; once more where the first run created variables, which had no values in it."""
    take_created_variables()
    _modules.install()
    _control_flow.install()
    _draws.install(is_recording)
    _augmentation.install(is_recording)
    if jit_compile is True and sizes is not None:
        raise FixedSizeError("Inductor's kernels are made for the sizes of one call")
    simplifies = jit_compile is not False
    for _ in range(2):
        inputs = Inputs(shapes, dtypes, sizes)
        traced = _trace(f, inputs, simplifies)
        if not traced.created:
            break
    inputs.check_dynamic()
    program = GraphProgram(traced, inputs, simplifies)
    if jit_compile is True:
        program.compile(inputs)
    else:
        program.allow_other_strides()
    return Program(
        program,
        bool(traced.written),
        lambda: look_into(program.module, traced, program.in_place, program.removed),
        inputs.accept,
    )


def _trace(f: TensorFunction, inputs: Inputs, fuses: bool) -> Trace:
    with contextlib.ExitStack() as stack:
        for context in (*_ALWAYS, *(_FUSED if fuses else ())):
            stack.enter_context(context())
        return trace(f, inputs)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Let errors be raised that the tracer would print too."""
    logger = logging.getLogger("torch._subclasses.fake_tensor")
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before


class GraphProgram:
    """Runs a graph operator by operator, outside autograd.

    Args:
        trace: the graph, and the variables that are its state.
        inputs: the arguments that it was traced for.
        simplifies: whether the passes run over it first.

    Attributes:
        removed: what each pass removed or changed.
        in_place: the variables that the graph writes where they are; the others are written at its end.
        module: the graph, with the tensors that it names.
    """

    def __init__(self, trace: Trace, inputs: Inputs, simplifies: bool) -> None:
        self._prepare = inputs.prepare
        self.removed = passes.simplify(trace.graph) if simplifies else {}
        self.in_place = _write_in_place(trace) if simplifies else []
        self._state = trace.state
        self._written = [variable for variable in trace.written if variable not in _Identities(self.in_place)]
        self._changed = [*self._written, *self.in_place]
        # What an argument may not share memory with: it would change before it is read, or after it is returned.
        self._guarded = [*self.in_place, *(self._written if trace.returns_arguments else [])]
        self._results = trace.results
        self.module = torch.fx.GraphModule(trace.holder, trace.graph)
        self._written_arguments = _written_arguments(trace)
        self._run = bind_operators(self.module)

    def allow_other_strides(self) -> None:
        """Let the graph view what it can, and copy what a kernel lays out otherwise than fake tensors say."""
        for node in self.module.graph.nodes:
            if str(node.target) in _VIEWS:
                node.target = torch.ops.aten.reshape.default
        self.module.recompile()
        self._run = bind_operators(self.module)

    def compile(self, inputs: Inputs) -> None:
        """Run the graph by Inductor's kernels from now on."""
        from unikeras.backends.torch import _inductor

        values = [variable._value.detach() for variable in self._state]
        with torch.no_grad():
            self._run = _inductor.compile(self.module, [*inputs.samples(), *values])

    def _undisturbed(self) -> AbstractContextManager[None]:
        # Between two changes in place, Ctrl-C would leave one of them.
        return interrupts_wait() if self.in_place else contextlib.nullcontext()

    def __call__(self, tensors: Sequence[Any]) -> list[Any]:
        read = _assign.keep_read_values(self._changed)
        given, tensors = tensors, self._prepare(tensors)
        if self._guarded:
            tensors = _apart(tensors, self._guarded)
        with torch.no_grad(), self._undisturbed():
            outputs = self._run(*tensors, *_memory(self._state, read))
            results = list(outputs[: self._results])
            if self._written:
                # One call: Ctrl-C comes before or after all of it.
                targets = _memory(self._written, read)
                torch._foreach_copy_(targets, list(outputs[self._results :]))
            for number in self._written_arguments:
                if tensors[number] is not given[number]:  # what the function changed is a copy
                    given[number].copy_(tensors[number])
        return results


def _memory(variables: Sequence[Any], read: set[int]) -> list[Any]:
    if not read:
        return [variable._value for variable in variables]
    return [variable._value.data if id(variable) in read else variable._value for variable in variables]


_VIEWS = ("aten.view.default", "aten._unsafe_view.default")


class _Identities:
    """A set of variables, which compare element by element."""

    def __init__(self, variables: Sequence[Any]) -> None:
        self._ids = set(map(id, variables))

    def __contains__(self, variable: Any) -> bool:
        return id(variable) in self._ids


def _write_in_place(trace: Trace) -> list[Any]:
    """Let the graph write what it can where it is, and return those variables; they are no outputs any more."""
    inputs = [node for node in trace.graph.nodes if node.op == "placeholder"]
    nodes = dict(zip(map(id, trace.state), inputs[len(inputs) - len(trace.state) :], strict=True))
    output = trace.graph.output_node()
    results, new = output.args[0][: trace.results], output.args[0][trace.results :]
    values = dict(zip((nodes[id(variable)] for variable in trace.written), new, strict=True))
    done = passes.write_in_place(trace.graph, list(nodes.values()), values)
    kept = [output.args[0][i] for i, node in enumerate(values, trace.results) if node not in done]
    output.args = ((*results, *kept),)
    return [variable for variable in trace.written if nodes[id(variable)] in done]


def _written_arguments(trace: Trace) -> list[int]:
    """Return the places of the arguments that the function itself changes in place."""
    inputs = [node for node in trace.graph.nodes if node.op == "placeholder"]
    memory = passes.Memory(trace.graph, distinct=inputs)
    arguments = inputs[: len(inputs) - len(trace.state)]
    return [number for number, node in enumerate(arguments) if memory.first_write(node) is not None]


def _apart(tensors: Sequence[Any], variables: Sequence[Any]) -> list[Any]:
    """Copy arguments that share memory with variables which the graph changes while it runs."""
    memory = {variable._value.untyped_storage().data_ptr() for variable in variables}
    return [tensor.clone() if tensor.untyped_storage().data_ptr() in memory else tensor for tensor in tensors]


# What makes code traceable.
_ALWAYS = (_quiet, traceable_numbers, native_training_refused, TensorIndices)
# Keras' own computations, each as one operator. They may round otherwise than the many that they stand for.
_FUSED = (fused_updates, fused_normalization, fused_recurrence)
