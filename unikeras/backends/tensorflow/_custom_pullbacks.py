"""A function with a pullback of its own, and a check for where TensorFlow would lose it.

A ForwardAccumulator differentiates what the function computes, and `tf.vectorized_map` under a tape converts the
operations of a function and drops its gradient: both would answer with another derivative, without a word.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf

from unikeras.backends._contract import Pullback
from unikeras.backends.variable_reads import tapes
from unikeras.errors import TransformError

_local = threading.local()


def custom_gradient(
    run: Callable[[Sequence[Any]], tuple[list[Any], Pullback]], inputs: Sequence[Any]
) -> list[Any]:
    """Run a function of flat tensors that brings its own pullback.

    Raises:
        TransformError: the pullback would not be used here, or the function reads variables.
    """
    _check()

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


@contextlib.contextmanager
def forward_mode() -> Iterator[None]:
    """Say that what runs in the block is differentiated forward."""
    before = getattr(_local, "forward", False)
    _local.forward = True
    try:
        yield
    finally:
        _local.forward = before


@contextlib.contextmanager
def mapped() -> Iterator[None]:
    """Say that the block is converted to run for many examples; tapes that began before see the conversion."""
    before = getattr(_local, "outside", 0)
    _local.outside = len(tapes())
    try:
        yield
    finally:
        _local.outside = before


def _check() -> None:
    """Raise where a custom gradient would not be used.

    Raises:
        TransformError: the message says what works.
    """
    if getattr(_local, "forward", False):
        raise TransformError(
            "uk.custom_gradient does not run inside uk.jvp, uk.hvp or a forward jacobian on TensorFlow, which would "
            "differentiate what the function computes; use a tape, uk.vjp, or uk.grad of uk.grad"
        )
    outside = getattr(_local, "outside", 0)
    if outside and len(tapes()) <= outside:
        raise TransformError(
            "uk.custom_gradient inside uk.vmap loses its gradient for a tape or transform around the vmap on "
            "TensorFlow; differentiate inside: uk.vmap(uk.grad(f))"
        )
