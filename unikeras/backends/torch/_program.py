"""A traced graph that is ready to run: its values of variables are read before, and written after."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from unikeras._keras.scopes import is_recording, take_created_variables
from unikeras.backends._contract import Program, TensorFunction
from unikeras.backends.torch import _assign, _augmentation, _control_flow, _draws, _modules
from unikeras.backends.torch._indexing import TensorIndices
from unikeras.backends.torch._operators import traceable_operators
from unikeras.backends.torch._tracing import Trace, trace


def compile_program(
    f: TensorFunction,
    shapes: Sequence[tuple[int | None, ...]],
    dtypes: Sequence[Any],
    jit_compile: bool | str,
) -> Program:
    """Trace a function; once more where the first run created variables, which had no values in it."""
    take_created_variables()
    _modules.install()
    _control_flow.install()
    _draws.install(is_recording)
    _augmentation.install(is_recording)
    traced = _trace(f, shapes, dtypes)
    if traced.created:
        traced = _trace(f, shapes, dtypes)
    module = torch.fx.GraphModule(traced.holder, traced.graph)
    return Program(GraphProgram(traced, module.forward), writes=bool(traced.written))


def _trace(f: TensorFunction, shapes: Sequence[tuple[int | None, ...]], dtypes: Sequence[Any]) -> Trace:
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    with mode:
        examples = [torch.empty(shape, dtype=dtype) for shape, dtype in zip(shapes, dtypes, strict=True)]
    with _quiet(), traceable_operators(), TensorIndices():
        return trace(f, examples, mode)


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
        run: the graph as a function of flat tensors.
    """

    def __init__(self, trace: Trace, run: Any) -> None:
        self._run = run
        self._state = trace.state
        self._written = trace.written
        self._results = trace.results

    def __call__(self, tensors: Sequence[Any]) -> list[Any]:
        _assign.keep_read_values(self._written)
        with torch.no_grad():
            outputs = self._run(*tensors, *[variable._value for variable in self._state])
            results = list(outputs[: self._results])
            if self._written:
                # One call: Ctrl-C comes before or after all of it.
                targets = [variable._value for variable in self._written]
                torch._foreach_copy_(targets, list(outputs[self._results :]))
        return results
