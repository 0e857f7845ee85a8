"""The one file that leans on JAX's internals: a trace of our own, made the current one.

JAX's current trace is a value. While a `RecordingTrace` is current it receives every primitive, runs it on
the trace beneath (so that values stay what they were: concrete arrays in eager code, tracers under jit) and,
where an operand is being differentiated, keeps the primitive's `jax.vjp`.

Tested with jax 0.10; pyproject.toml pins that range, tests/contract/ holds for each version in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import jax
from jax._src import core


class Recorder(Protocol):
    """What a `RecordingTrace` reports to."""

    def is_active(self, value: Any) -> bool:
        """Say whether gradients are wanted with respect to this operand."""

    def record(
        self, inputs: Sequence[Any], outputs: Sequence[Any], pullback: Callable[..., Any]
    ) -> list[Any]:
        """Keep one operation; return its outputs, each as an object that no other value shares."""


class RecordingTrace(core.Trace):
    """Runs primitives on `parent` and reports those with active operands to a recorder."""

    def __init__(self, parent: core.Trace, recorder: Recorder) -> None:
        super().__init__()
        self.parent = parent
        self.requires_low = parent.requires_low
        self.recorder: Recorder | None = recorder

    def stage_value(self, val: Any) -> Any:
        # Already staged where it was computed; another object would lose its place on the tape.
        if self.recorder is not None and self.recorder.is_active(val):
            return val
        return self.parent.stage_value(val)

    def cur_qdd(self, x: Any) -> Any:
        return self.parent.cur_qdd(x)

    def process_primitive(self, primitive: Any, tracers: Any, params: Any, /) -> Any:
        return self._run(primitive, lambda *xs: primitive.bind(*xs, **params), tracers)

    def process_call(self, call_primitive: Any, f: Any, tracers: Any, params: Any, /) -> Any:
        return self._run(
            call_primitive,
            lambda *xs: _current().process_call(call_primitive, f, xs, params),
            tracers,
        )

    def process_custom_jvp_call(
        self, primitive: Any, fun: Any, jvp: Any, tracers: Any, /, **params: Any
    ) -> Any:
        return self._run(
            primitive,
            lambda *xs: _current().process_custom_jvp_call(primitive, fun, jvp, list(xs), **params),
            tracers,
        )

    def process_custom_vjp_call(
        self, primitive: Any, fun: Any, fwd: Any, bwd: Any, tracers: Any, /, **params: Any
    ) -> Any:
        return self._run(
            primitive,
            lambda *xs: _current().process_custom_vjp_call(primitive, fun, fwd, bwd, list(xs), **params),
            tracers,
        )

    def _run(self, primitive: Any, bind: Callable[..., Any], operands: Sequence[Any]) -> Any:
        recorder = self.recorder
        with core.set_current_trace(self.parent):
            active = [i for i, x in enumerate(operands) if recorder is not None and recorder.is_active(x)]
            if recorder is None or not active:
                return bind(*operands)

            def of_active(*values: Any) -> Any:
                every = list(operands)
                for i, value in zip(active, values, strict=True):
                    every[i] = value
                return bind(*every)

            inputs = [operands[i] for i in active]
            outputs, pullback = jax.vjp(of_active, *inputs)
            if not primitive.multiple_results:
                return recorder.record(inputs, [outputs], lambda cotangents: pullback(cotangents[0]))[0]
            # The pullback wants its cotangents in the container that the primitive answered with.
            container = type(outputs)
            return recorder.record(inputs, outputs, lambda cotangents: pullback(container(cotangents)))


def _current() -> core.Trace:
    return core.trace_ctx.trace


def push(recorder: Recorder) -> RecordingTrace:
    """Make a new recording trace the current one of this thread."""
    trace = RecordingTrace(_current(), recorder)
    core.trace_ctx.set_trace(trace)
    return trace


def pop(trace: RecordingTrace) -> None:
    """End a recording; a trace that others were pushed upon stays below them and only passes on."""
    trace.recorder = None
    while isinstance(_current(), RecordingTrace) and _current().recorder is None:
        core.trace_ctx.set_trace(_current().parent)


def beneath(trace: RecordingTrace) -> Any:
    """Return a context in which operations run without being recorded by `trace`."""
    return core.set_current_trace(trace.parent)
