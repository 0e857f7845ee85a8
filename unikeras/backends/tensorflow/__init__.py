"""The TensorFlow backend."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import tensorflow as tf

from unikeras.backends._contract import (
    Backend,
    Composite,
    FlatFunction,
    KeptValue,
    Program,
    Pullback,
    Tape,
    TraceFault,
)
from unikeras.backends.tensorflow import _recording
from unikeras.errors import TransformError, UnikerasError


class TensorflowBackend(Backend):
    """TensorFlow: its own tape, and tf.function."""

    name = "tensorflow"
    free_axes = True
    recurrence_begins_with_state = False

    def version(self) -> str:
        return str(tf.__version__)

    def devices(self) -> list[str]:
        return [device.name.removeprefix("/device:").lower() for device in tf.config.list_logical_devices()]

    def is_tensor(self, value: Any) -> bool:
        return isinstance(value, tf.Tensor | tf.Variable)

    def parts(self, value: Any) -> tuple[Composite, list[Any]] | None:
        if not isinstance(value, _COMPOSITES):
            return None
        parts = tf.nest.flatten(value, expand_composites=True)
        return Composite(tf.type_spec_from_value(value), len(parts), _joined), parts

    def children(self, value: Any) -> tuple[Composite, list[Any]] | None:
        cls = type(value)
        if not hasattr(cls, "__tf_flatten__"):  # what tf.nest asks for
            return None
        kind, children = value.__tf_flatten__()
        return Composite((cls, kind), len(children), _unflattened), list(children)

    def to_numpy(self, tensor: Any) -> np.ndarray[Any, Any]:
        return np.asarray(tensor.numpy())

    def synchronize(self, *values: Any) -> None:
        if tf.config.list_physical_devices("GPU"):
            # A stream has no end to wait for; a value on the host does.
            for value in values:
                value.numpy()

    def tape(self, persistent: bool, watch_accessed_variables: bool) -> Tape:
        from unikeras.backends.tensorflow import _control_flow
        from unikeras.backends.tensorflow._tape import TensorflowTape

        _control_flow.install()
        return TensorflowTape(persistent, watch_accessed_variables)

    def no_grad(self) -> AbstractContextManager[None]:
        return _recording.no_grad()

    def native_vjp(self) -> None:
        return None  # a tape records inside tf.function and vectorized_map alike

    def jvp(
        self, f: FlatFunction, primals: Sequence[Any], tangents: Sequence[Any]
    ) -> tuple[list[Any], list[Any], list[Any]]:
        from unikeras.backends.tensorflow import _custom
        from unikeras.backends.tensorflow._tape import pushed_forward

        with _custom.forward_mode():
            return pushed_forward(f, primals, tangents)

    def custom_gradient(
        self, run: Callable[[Sequence[Any]], tuple[list[Any], Pullback]], inputs: Sequence[Any]
    ) -> list[Any]:
        from unikeras.backends.tensorflow import _custom

        _custom.check()

        @tf.custom_gradient
        def call(*values: Any) -> Any:
            outputs, pullback = run(values)
            return outputs, lambda *upstream: pullback(upstream)

        # A tf.Variable among the inputs would count as one that the function reads by itself.
        try:
            return list(call(*map(tf.convert_to_tensor, inputs)))
        except TypeError as error:
            if "must accept keyword argument 'variables'" not in str(error):
                raise
            raise TransformError(
                "a custom gradient is for its arguments, and the function reads variables that TensorFlow watches "
                f"(a variable keeps the flag that it was created with); pass them as arguments: {error}"
            ) from error

    def vmap(self, f: Callable[[Sequence[Any]], list[Any]], batched: Sequence[Any]) -> list[Any]:
        from unikeras.backends.tensorflow import _custom

        refused: list[UnikerasError] = []

        @tf.autograph.experimental.do_not_convert
        def run(elements: Sequence[Any]) -> list[Any]:
            try:
                with _custom.mapped():
                    return f(list(elements))
            except (
                UnikerasError
            ) as error:  # autograph turns errors of classes that it does not know into its own
                refused.append(error)
                raise

        try:
            return list(tf.vectorized_map(run, tuple(batched)))
        except Exception as error:
            if refused:
                raise refused[0] from None
            if not isinstance(error, ValueError | TypeError | NotImplementedError | tf.errors.OpError):
                raise
            # pfor has no converter for some operations, the gradient of a while loop among them; if something
            # else is wrong, the loop says so.
            one = f([tensor[0] for tensor in batched])
            spec = [tf.TensorSpec(output.shape, output.dtype) for output in one]
            return list(tf.map_fn(run, tuple(batched), fn_output_signature=spec))

    def remat(self, f: Callable[[Sequence[Any]], list[Any]], tensors: Sequence[Any]) -> list[Any]:
        from unikeras.backends.tensorflow import _remat

        return _remat.remat(f, tensors)

    def is_symbolic(self, value: Any) -> bool:
        return bool(tf.is_symbolic_tensor(value))

    def is_tracing(self) -> bool:
        return bool(tf.inside_function())

    def trace_fault(self, error: BaseException) -> TraceFault | None:
        from unikeras.backends.tensorflow import _faults

        return _faults.fault(error)

    def program_input(self, array: Any) -> Any:
        return tf.convert_to_tensor(array)

    def compile(
        self,
        f: Callable[[Sequence[Any]], list[Any]],
        shapes: Sequence[tuple[int | None, ...]],
        dtypes: Sequence[Any],
        jit_compile: bool | str,
        donate: bool = True,
    ) -> Program:
        from unikeras.backends.tensorflow import _control_flow
        from unikeras.backends.tensorflow._compile import compile_program

        _control_flow.install()
        return compile_program(f, shapes, dtypes, jit_compile)

    def untraced(self, f: Callable[..., Any], jit_compile: bool | str) -> None:
        return None

    def eager(self) -> AbstractContextManager[None]:
        from unikeras.backends.tensorflow._compile import eagerly

        return eagerly()

    def observed(self, tensor: Any, see: Callable[[Any], None]) -> Any:
        @tf.custom_gradient
        def identity(x: Any) -> Any:
            def backward(upstream: Any) -> Any:
                see(upstream)
                return upstream

            return tf.identity(x), backward

        return identity(tensor)

    def batches(self, adapter: Any) -> Iterable[Any]:
        from unikeras.backends.tensorflow import _data

        return _data.batches(adapter)

    def concatenated(self, outputs: Sequence[Any]) -> Any:
        from unikeras.backends.tensorflow import _data

        return _data.concatenated(outputs)

    def recurrence(
        self, cell: str, x: Any, states: Sequence[Any], mask: Any | None, weights: Sequence[Any]
    ) -> tuple[Any, list[Any]] | None:
        from unikeras.backends.tensorflow import _recurrence

        return _recurrence.recurrence(cell, x, states, mask, weights)

    def set_training(self, model: Any, training: bool) -> None:
        pass

    def keep(self, variable: Any) -> KeptValue:
        old = variable._value.read_value()

        def restore() -> None:
            variable._value.assign(old)

        return KeptValue(restore)


_COMPOSITES = (tf.SparseTensor, tf.RaggedTensor, tf.IndexedSlices, tf.experimental.ExtensionType)


def _unflattened(kind: tuple[Any, Any], children: Sequence[Any]) -> Any:
    return kind[0].__tf_unflatten__(kind[1], tuple(children))


def _joined(spec: Any, parts: Sequence[Any]) -> Any:
    return tf.nest.pack_sequence_as(spec, list(parts), expand_composites=True)


def create() -> TensorflowBackend:
    """Return the backend; the registry calls this once."""
    return TensorflowBackend()
