"""Derivatives on TensorFlow: its own tape, accumulators, and vectorized_map."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import tensorflow as tf

from unikeras.backends._contract import Autodiff, BackendTape, FlatFunction, Pullback
from unikeras.backends.tensorflow import _custom_pullbacks, _recording
from unikeras.errors import UnikerasError


class TensorflowAutodiff(Autodiff):
    """`tf.GradientTape`, `tf.autodiff.ForwardAccumulator` and `tf.vectorized_map`."""

    def tape(self, persistent: bool, watch_accessed_variables: bool) -> BackendTape:
        from unikeras.backends.tensorflow import _control_flow
        from unikeras.backends.tensorflow._tape import TensorflowTape

        _control_flow.install()
        return TensorflowTape(persistent, watch_accessed_variables)

    def no_grad(self) -> AbstractContextManager[None]:
        return _recording.no_grad()

    def with_gradient_hook(self, tensor: Any, hook: Callable[[Any], None]) -> Any:
        @tf.custom_gradient
        def identity(x: Any) -> Any:
            def backward(upstream: Any) -> Any:
                hook(upstream)
                return upstream

            return tf.identity(x), backward

        return identity(tensor)

    def native_vjp(self) -> None:
        return None  # a tape records inside tf.function and vectorized_map alike

    def jvp(
        self, f: FlatFunction, primals: Sequence[Any], tangents: Sequence[Any]
    ) -> tuple[list[Any], list[Any], list[Any]]:
        from unikeras.backends.tensorflow._tape import pushed_forward

        with _custom_pullbacks.forward_mode():
            return pushed_forward(f, primals, tangents)

    def custom_gradient(
        self, run: Callable[[Sequence[Any]], tuple[list[Any], Pullback]], inputs: Sequence[Any]
    ) -> list[Any]:
        return _custom_pullbacks.custom_gradient(run, inputs)

    def vmap(self, f: Callable[[Sequence[Any]], list[Any]], batched: Sequence[Any]) -> list[Any]:
        refused: list[UnikerasError] = []

        @tf.autograph.experimental.do_not_convert
        def run(elements: Sequence[Any]) -> list[Any]:
            try:
                with _custom_pullbacks.mapped():
                    return f(list(elements))
            except UnikerasError as error:
                refused.append(error)  # autograph turns errors of classes that it does not know into its own
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
