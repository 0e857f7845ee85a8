"""A tape on JAX: what the recording trace reports, and its reversal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from unikeras.backends._contract import BackendTape
from unikeras.backends.jax import _trace


@dataclass(frozen=True)
class _Operation:
    inputs: Sequence[Any]
    outputs: Sequence[Any]
    pullback: Callable[..., Any]
    again: Callable[..., Any] | None


def _is_inexact(value: Any) -> bool:
    return bool(jnp.issubdtype(value.dtype, jnp.inexact))


class JaxTape(BackendTape):
    """Operations in the order in which they ran; values are told apart by object identity.

    Identity of objects is not identity of values: a primitive or a jitted function may return its
    argument itself, and two variables may hold one array. Each such value gets an object of its own.
    """

    def __init__(self, persistent: bool) -> None:
        self._persistent = persistent
        self._trace: _trace.RecordingTrace | None = None
        self._operations: list[_Operation] = []
        # Active values by id; holding them keeps their ids from being given to anything else.
        self._active: dict[int, Any] = {}
        # For each watched variable, by id: what it held when it was read, and what was returned for that.
        self._reads: dict[int, list[tuple[Any, Any]]] = {}

    def start(self) -> None:
        self._trace = _trace.push(self)

    def stop(self) -> None:
        assert self._trace is not None
        _trace.pop(self._trace)

    def pause(self) -> AbstractContextManager[None]:
        assert self._trace is not None
        return _trace.paused(self._trace)

    def watch(self, tensor: Any) -> None:
        self._active[id(tensor)] = tensor

    def read(self, variable: keras.Variable, value: Any) -> Any:
        given_out = self._reads.setdefault(id(variable), [])
        for held, own in given_out:
            if held is value or own is value:
                return own
        own = self.separate(value)
        self._active[id(own)] = own
        given_out.append((value, own))
        return own

    def is_active(self, value: Any) -> bool:
        return id(value) in self._active

    def record(
        self,
        inputs: Sequence[Any],
        outputs: Sequence[Any],
        pullback: Callable[..., Any],
        again: Callable[..., Any],
        connected: Sequence[bool] | None,
    ) -> list[Any]:
        given_out = []
        for number, output in enumerate(outputs):
            if _is_inexact(output):
                output = self.separate(output)
                if connected is None or connected[number]:
                    self._active[id(output)] = output
            given_out.append(output)
        # It keeps operands that no pullback needs, so only a tape that can record its own answer has it.
        kept = again if self._persistent else None
        self._operations.append(_Operation(inputs, given_out, pullback, kept))
        return given_out

    def separate(self, value: Any) -> Any:
        """Return the value as an object that stands for nothing else on this tape."""
        if not self.is_active(value):
            return value
        assert self._trace is not None
        with _trace.beneath(self._trace):
            return jnp.array(value, copy=True)

    def gradient(
        self, targets: Sequence[Any], sources: Sequence[Any], output_gradients: Sequence[Any]
    ) -> list[Any]:
        cotangents = _Cotangents()
        for target, given in zip(targets, output_gradients, strict=True):
            if self.is_active(target) and _is_inexact(target):
                cotangents.add(target, jnp.ones_like(target) if given is None else jnp.conj(given))
        recording = self._trace is not None and self._trace.on
        for operation in reversed(list(self._operations)):
            if any(cotangents.get(output) is not None for output in operation.outputs):
                arriving = [cotangents.for_pullback(output) for output in operation.outputs]
                pullback = (recording and operation.again) or operation.pullback
                for value, cotangent in zip(operation.inputs, pullback(arriving), strict=True):
                    cotangents.add(value, cotangent)
        return [self._total(cotangents, source) for source in sources]

    def batched_gradient(self, target: Any, sources: Sequence[Any], output_gradients: Any) -> list[Any]:
        return jax.vmap(lambda weight: self.gradient([target], sources, [weight]))(output_gradients)

    def _total(self, cotangents: _Cotangents, source: Any) -> Any:
        is_variable = isinstance(source, keras.Variable)
        values = [own for _, own in self._reads.get(id(source), [])] if is_variable else [source]
        found = [cotangent for value in values if (cotangent := cotangents.get(value)) is not None]
        # JAX's gradient of a real function of complex numbers is the conjugate of TensorFlow's and torch's.
        return jnp.conj(sum(found[1:], start=found[0])) if found else None

    def reset(self) -> None:
        self._operations.clear()
        self._active.clear()
        self._reads.clear()

    def release(self) -> None:
        self.reset()


class _Cotangents:
    """What has arrived at each value so far, by the value's identity."""

    def __init__(self) -> None:
        self._by_id: dict[int, Any] = {}

    def get(self, value: Any) -> Any:
        return self._by_id.get(id(value))

    def add(self, value: Any, cotangent: Any) -> None:
        if cotangent.dtype != jax.dtypes.float0:
            known = self.get(value)
            self._by_id[id(value)] = cotangent if known is None else known + cotangent

    def for_pullback(self, output: Any) -> Any:
        """Return what `jax.vjp` wants for an output: zeros where nothing arrived, float0 for integers."""
        if not _is_inexact(output):
            return np.zeros(np.shape(output), jax.dtypes.float0)
        arrived = self.get(output)
        return jnp.zeros_like(output) if arrived is None else arrived
