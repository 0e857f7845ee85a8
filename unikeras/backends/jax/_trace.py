"""The one file that leans on JAX's internals: a trace of our own, made the current one.

JAX's current trace is a value. While a `RecordingTrace` is current it receives every primitive, runs it on
the trace beneath (so that values stay what they were: concrete arrays in eager code, tracers under jit) and,
where an operand is being differentiated, keeps the primitive's `jax.vjp`.

Tested with jax 0.10; pyproject.toml pins that range, tests/contract/ holds for each version in it.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import jax
import jax.extend as jex
import jax.numpy as jnp
from jax._src import core
from jax._src.ad_util import stop_gradient_p
from jax._src.lax.control_flow.loops import while_p
from jax._src.pjit import jit_p

from unikeras.errors import TapeError


class Recorder(Protocol):
    """What a `RecordingTrace` reports to."""

    def is_active(self, value: Any) -> bool:
        """Say whether gradients are wanted with respect to this operand."""

    def separate(self, value: Any) -> Any:
        """Return a value as an object that is not active."""

    def record(
        self,
        inputs: Sequence[Any],
        outputs: Sequence[Any],
        pullback: Callable[..., Any],
        again: Callable[..., Any],
        connected: Sequence[bool] | None,
    ) -> list[Any]:
        """Keep one operation; return its outputs, each as an object that no other value shares.

        `connected` says which outputs depend on the inputs at all, where that is known. `again` is the pullback
        computed anew, so that what it is made of can be recorded too.
        """


class RecordingTrace(core.Trace):
    """Runs primitives on `parent` and reports those with active operands to a recorder."""

    recorder: Any

    def __init__(self, parent: core.Trace, recorder: Recorder | None) -> None:
        super().__init__()
        self.parent = parent
        self.requires_low = parent.requires_low
        self.recorder = recorder
        self.on = True
        self.ended = False

    def stage_value(self, val: Any) -> Any:
        # Already staged where it was computed; another object would lose its place on the tape.
        if self.on and self.recorder.is_active(val):
            return val
        return self.parent.stage_value(val)

    def cur_qdd(self, x: Any) -> Any:
        return self.parent.cur_qdd(x)

    def process_primitive(self, primitive: Any, tracers: Any, params: Any, /) -> Any:
        if primitive is while_p and self._is_active(tracers):
            return self._while(tracers, **params)
        if primitive is stop_gradient_p:
            return self._cut(tracers)
        inside = params["jaxpr"].jaxpr if primitive is jit_p else None
        return self._run(primitive, lambda *xs: primitive.bind(*xs, **params), tracers, inside)

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

    def _is_active(self, operands: Sequence[Any]) -> bool:
        return self.on and any(self.recorder.is_active(x) for x in operands)

    def _cut(self, operands: Sequence[Any]) -> Any:
        """Leave a stopped gradient out, so that what depends on nothing else answers None, not zeros."""
        with core.set_current_trace(self.parent):
            value = stop_gradient_p.bind(*operands)
        return self.recorder.separate(value) if self.on else value

    def _while(self, operands: Sequence[Any], cond_jaxpr: Any, body_jaxpr: Any, **params: Any) -> Any:
        """Run a while loop step by step: JAX has no gradient for it as a whole, for it keeps no steps."""
        if any(isinstance(x, core.Tracer) for x in operands):
            raise TapeError(
                "JAX cannot differentiate a while loop inside a compiled function in reverse, because the number of "
                "steps is not known; use keras.ops.scan, or keras.ops.fori_loop with Python ints as bounds"
            )
        first, second = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
        cond_consts, body_consts, carry = operands[:first], operands[first:second], operands[second:]
        with core.set_current_trace(self):
            while bool(jex.core.jaxpr_as_fun(cond_jaxpr)(*cond_consts, *carry)[0]):
                carry = jex.core.jaxpr_as_fun(body_jaxpr)(*body_consts, *carry)
        return list(carry)

    def _run(
        self, primitive: Any, bind: Callable[..., Any], operands: Sequence[Any], inside: Any = None
    ) -> Any:
        recorder = self.recorder
        with core.set_current_trace(self.parent):
            active = [i for i, x in enumerate(operands) if self._is_active([x])]
            if not active:
                return bind(*operands)

            def of_active(*values: Any) -> Any:
                every = list(operands)
                for i, value in zip(active, values, strict=True):
                    every[i] = value
                return bind(*every)

            inputs = [operands[i] for i in active]
            outputs, pullback = jax.vjp(of_active, *inputs)
            # The pullback wants its cotangents in the container that the primitive answered with.
            several = primitive.multiple_results
            pack = type(outputs) if several else next
            given_out = recorder.record(
                inputs,
                outputs if several else [outputs],
                lambda cotangents: pullback(pack(iter(cotangents))),
                lambda cotangents: jax.vjp(of_active, *inputs)[1](pack(iter(cotangents))),
                None if inside is None else _connected(inside, tuple(active)),
            )
            return given_out if several else given_out[0]


@functools.lru_cache(maxsize=4096)
def _connected(jaxpr: core.Jaxpr, active: tuple[int, ...]) -> list[bool]:
    """Say which outputs of a jitted function depend on the inputs of these numbers.

    JAX hands constants of the backward pass out of a jitted function as outputs of it.
    """
    reached = {jaxpr.invars[i] for i in active}
    for equation in jaxpr.eqns:
        if any(isinstance(x, core.Var) and x in reached for x in equation.invars):
            reached.update(equation.outvars)
    return [isinstance(x, core.Var) and x in reached for x in jaxpr.outvars]


def _current() -> core.Trace:
    return core.trace_ctx.trace


def push(recorder: Recorder) -> RecordingTrace:
    """Make a new recording trace the current one of this thread."""
    trace = RecordingTrace(_current(), recorder)
    core.trace_ctx.set_trace(trace)
    return trace


def pop(trace: RecordingTrace) -> None:
    """End a recording; a trace that others were pushed upon stays below them and only passes on."""
    trace.on, trace.ended = False, True
    _leave_ended()


def _leave_ended() -> None:
    while isinstance(_current(), RecordingTrace) and _current().ended:
        core.trace_ctx.set_trace(_current().parent)


@contextlib.contextmanager
def paused(trace: RecordingTrace) -> Iterator[None]:
    """Let a trace only pass on what it receives."""
    trace.on = False
    try:
        yield
    finally:
        trace.on = not trace.ended


def beneath(trace: RecordingTrace) -> Any:
    """Return a context in which operations run without being recorded by `trace`."""
    return core.set_current_trace(trace.parent)


class SeveringTrace(RecordingTrace):
    """Runs primitives on `parent` and takes the derivatives from what they answer, for all traces beneath."""

    def __init__(self, parent: core.Trace) -> None:
        super().__init__(parent, None)
        self.on = False

    def _run(
        self, primitive: Any, bind: Callable[..., Any], operands: Sequence[Any], inside: Any = None
    ) -> Any:
        with core.set_current_trace(self.parent):
            return jax.tree.map(_severed, bind(*operands))


def _severed(value: Any) -> Any:
    is_inexact = isinstance(value, core.Tracer) and jnp.issubdtype(value.dtype, jnp.inexact)
    return stop_gradient_p.bind(value) if is_inexact else value


def separated(values: Sequence[Any]) -> list[Any]:
    """Return values as objects from which the innermost tape finds no way back; tapes around it do."""
    trace = _current()
    if not (isinstance(trace, RecordingTrace) and trace.on):
        return list(values)
    return [trace.recorder.separate(value) for value in values]


def _traces() -> Iterator[core.Trace]:
    """Yield the traces of this thread from the current one down, those of JAX's own transforms too."""
    trace: core.Trace | None = _current()
    while trace is not None:
        yield trace
        trace = getattr(trace, "parent", None) or getattr(trace, "parent_trace", None)


def _recording() -> list[RecordingTrace]:
    return [trace for trace in _traces() if isinstance(trace, RecordingTrace) and trace.on]


def is_recording() -> bool:
    """Say whether some tape records in this thread."""
    return bool(_recording())


@contextlib.contextmanager
def all_paused() -> Iterator[None]:
    """Let every trace beneath pass on what it receives, as constants: tapes, JAX's transforms, and programs of jit."""
    with contextlib.ExitStack() as stack:
        for trace in _recording():
            stack.enter_context(paused(trace))
        # A tape alone is paused; JAX's own traces have no switch.
        if all(isinstance(trace, RecordingTrace | core.EvalTrace) for trace in _traces()):
            yield
            return
        severing = SeveringTrace(_current())
        core.trace_ctx.set_trace(severing)
        try:
            yield
        finally:
            severing.ended = True
            _leave_ended()
