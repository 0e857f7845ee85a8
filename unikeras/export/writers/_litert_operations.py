"""Operations of Keras as LiteRT has them: each function takes Keras' own and returns one to put in its place."""

from __future__ import annotations

import functools
import inspect
from typing import Any


def without_dilation(original: Any) -> Any:
    """Return a transposed convolution with the gaps of a dilation as zeros in the kernel."""

    @functools.wraps(original)
    def conv_transpose(*arguments: Any, **options: Any) -> Any:
        import tensorflow as tf

        call = inspect.signature(original).bind(*arguments, **options)
        kernel = tf.convert_to_tensor(call.arguments["kernel"])
        rates = call.arguments.pop("dilation_rate", 1)
        if isinstance(rates, int):
            rates = (rates,) * (len(kernel.shape) - 2)
        for axis, rate in enumerate(rates):
            kernel = _spread(kernel, axis, rate) if rate > 1 else kernel
        call.arguments["kernel"] = kernel
        return original(*call.args, **call.kwargs)

    return conv_transpose


def _spread(kernel: Any, axis: int, rate: int) -> Any:
    """Return a kernel with `rate - 1` zeros between its entries along an axis."""
    import tensorflow as tf

    slices = tf.split(kernel, kernel.shape[axis], axis)
    gap = tf.concat([tf.zeros_like(slices[0])] * (rate - 1), axis)
    return tf.concat([part for one in slices[:-1] for part in (one, gap)] + slices[-1:], axis)


def with_known_channels(original: Any) -> Any:
    """Return a repetition that, where an axis is dynamic, does not lose the sizes of the others."""

    @functools.wraps(original)
    def repeat(x: Any, repeats: Any, axis: int | None = None) -> Any:
        import tensorflow as tf

        if not isinstance(repeats, int) or axis is None:
            return original(x, repeats, axis)
        places = tf.range(tf.shape(x)[axis] * repeats) // repeats
        return tf.gather(x, places, axis=axis)

    return repeat


def by_negation(original: Any) -> Any:
    """Return an absolute value that takes the larger of an integer and its negation."""

    @functools.wraps(original)
    def absolute(x: Any) -> Any:
        import tensorflow as tf

        x = tf.convert_to_tensor(x)
        return tf.maximum(x, -x) if x.dtype in (tf.int32, tf.int64) else original(x)

    return absolute


def by_slices(original: Any) -> Any:
    """Return a roll that puts the end of each axis before its start."""

    @functools.wraps(original)
    def roll(x: Any, shift: Any, axis: Any = None) -> Any:
        import tensorflow as tf

        if axis is None:
            return original(x, shift, axis)
        x = tf.convert_to_tensor(x)
        axes = [axis] if isinstance(axis, int) else list(axis)
        shifts = [shift] * len(axes) if isinstance(shift, int) else list(shift)
        for one, by in zip(axes, shifts, strict=True):
            before = (slice(None),) * (one % len(x.shape))
            size = tf.shape(x)[one] if x.shape[one] is None else x.shape[one]
            start = size - by % size
            x = tf.concat([x[(*before, slice(start, None))], x[(*before, slice(None, start))]], one)
        return x

    return roll


def without_bits(original: Any) -> Any:
    """Return a sign by comparison; only -0.0 has another. argmax and argmin of floats ask for the bit."""

    @functools.wraps(original)
    def signbit(x: Any) -> Any:
        import tensorflow as tf

        x = tf.convert_to_tensor(x)
        return x < tf.zeros((), x.dtype)

    return signbit


def reversed_first(original: Any) -> Any:
    """Return a recurrence that, unrolled, turns inputs and mask around beforehand.

    Keras, when it has unrolled a layer that goes backwards, zeroes masked steps by the mask as it came.
    """

    @functools.wraps(original)
    def rnn(*arguments: Any, **options: Any) -> Any:
        import tensorflow as tf

        call = inspect.signature(original).bind(*arguments, **options)
        given = call.arguments
        if given.get("unroll") and given.get("go_backwards") and not given.get("time_major"):
            given["inputs"] = tf.nest.map_structure(lambda x: tf.reverse(x, [1]), given["inputs"])
            given["mask"] = None if given.get("mask") is None else tf.reverse(given["mask"], [1])
            given["go_backwards"] = False
        return original(*call.args, **call.kwargs)

    return rnn
