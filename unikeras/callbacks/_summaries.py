"""Values as TensorBoard's summaries: checked, brought to numpy, and built by tensorboardX."""

from __future__ import annotations

import functools
import re
from typing import Any

import numpy as np

from unikeras.callbacks._event_file import tensorboardx
from unikeras.errors import ArgumentError, ArgumentValueError

# TensorBoard splits tags at slashes and shows the rest; control characters would break its page.
_LONGEST_TAG = 1000


def numpy_of(value: Any, what: str) -> np.ndarray[Any, Any]:
    """Return numbers, or a tensor of any backend, as a numpy array of real numbers.

    Args:
        value: a number, a list, an array, a tensor or a `keras.Variable`.
        what: its name in the error.

    Raises:
        ArgumentError: it is none of these.
    """
    import keras

    if not isinstance(value, np.ndarray):
        try:
            is_native = keras.ops.is_tensor(value) or isinstance(value, keras.Variable)
            value = keras.ops.convert_to_numpy(value) if is_native else _detached(value)
        except Exception as error:
            raise ArgumentError(
                f"{what} is a {type(value).__name__} that has no value here: {error}"
            ) from error
    if value.dtype.kind not in "fiub" and value.dtype.name not in (
        "bfloat16",
        "float8_e4m3fn",
        "float8_e5m2",
    ):
        raise ArgumentError(f"{what} has dtype {value.dtype}; expected real numbers")
    return value.astype("float32") if value.dtype.kind == "V" or value.dtype.name == "bfloat16" else value


def _detached(value: Any) -> np.ndarray[Any, Any]:
    # A tensor of another framework than Keras runs on.
    detached = value.detach().cpu() if hasattr(value, "detach") else value
    return np.asarray(detached)


def clean_tag(tag: Any) -> str:
    """Return a tag that TensorBoard can show: other characters become `_`, as torch's and TensorFlow's writers do.

    Raises:
        ArgumentError: it is no text.
        ArgumentValueError: nothing of it is left.
    """
    if not isinstance(tag, str):
        raise ArgumentError(f"a tag must be a str; received {type(tag).__name__}")
    cleaned = re.sub(r"[^-/\w.]", "_", tag[:_LONGEST_TAG]).lstrip("/")
    if not cleaned.strip("/_. "):
        raise ArgumentValueError(f"tag {tag!r} has no letter and no digit to show")
    return cleaned


def scalar(tag: str, value: Any) -> Any:
    """Return the summary of one number; NaN and Inf are shown as such.

    Raises:
        ArgumentValueError: there are more numbers, or none.
    """
    array = np.asarray(value) if isinstance(value, int | float) else numpy_of(value, f"scalar {tag!r}")
    if array.size != 1:
        raise ArgumentValueError(f"scalar {tag!r} has shape {array.shape}; expected one number")
    return _summary()(value=[_summary().Value(tag=tag, simple_value=float(array.reshape(())))])


def histogram(tag: str, values: Any, bins: Any = "tensorflow", max_bins: int | None = None) -> Any:
    """Return the summary of how numbers are distributed: of the finite ones; empty tensors have an empty one."""
    array = numpy_of(values, f"histogram {tag!r}").reshape(-1).astype("float64")
    finite = array[np.isfinite(array)]
    protos = tensorboardx("summary")
    if finite.size == 0:
        # What TensorBoard draws as nothing.
        empty = protos.HistogramProto(num=0, bucket_limit=[0.0], bucket=[0.0])
        return _summary()(value=[_summary().Value(tag=tag, histo=empty)])
    named = _NAMED_BINS.get(bins) if isinstance(bins, str) else None
    # The named bins end at 1e20.
    proto = protos.make_histogram(
        finite.clip(-9e19, 9e19) if named else finite, named() if named else bins, max_bins
    )
    return _summary()(value=[_summary().Value(tag=tag, histo=proto)])


def image(tag: str, pixels: Any, dataformats: str) -> Any:
    """Return the summary of a picture.

    Args:
        tag: its name.
        pixels: uint8 in 0..255, or floats in 0..1, which are clipped; NaN becomes 0.
        dataformats: the axes: `"CHW"`, `"HWC"`, `"HW"`, or one with N for a grid of pictures.

    Raises:
        ArgumentValueError: axes and shape do not fit, or the picture is empty.
    """
    array = numpy_of(pixels, f"image {tag!r}")
    axes = dataformats.upper()
    if sorted(axes) not in (["H", "W"], ["C", "H", "W"], ["C", "H", "N", "W"]) or len(axes) != array.ndim:
        raise ArgumentValueError(
            f"image {tag!r} of shape {array.shape} has not the axes {dataformats!r}; give them as dataformats="
        )
    channels = array.shape[axes.index("C")] if "C" in axes else 1
    if channels not in (1, 3, 4) or array.size == 0:
        raise ArgumentValueError(
            f"image {tag!r} has shape {array.shape} for {dataformats!r}; expected 1, 3 or 4 channels, and pixels"
        )
    if array.dtype == bool:
        array = array.astype("float32")
    if array.dtype != np.uint8:
        array = np.nan_to_num(array, posinf=1.0, neginf=0.0).clip(0, 1 if array.dtype.kind == "f" else 255)
        array = array.astype("float32" if array.dtype.kind == "f" else "uint8")
    return tensorboardx("summary").image(tag, array, dataformats=axes)


def text(tag: str, value: str) -> Any:
    """Return the summary of a text in Markdown."""
    return tensorboardx("summary").text(tag, value.encode("utf-8", "replace").decode())


@functools.cache
def _summary() -> Any:
    return tensorboardx("proto.summary_pb2").Summary


@functools.cache
def _default_bins() -> list[float]:
    """Return TensorFlow's bins: 10 percent wider from one to the next, around 0."""
    limits, limit = [], 1e-12
    while limit < 1e20:
        limits.append(limit)
        limit *= 1.1
    return [*(-limit for limit in reversed(limits)), 0.0, *limits]


# By the names that torch.utils.tensorboard has for them.
_NAMED_BINS = {"tensorflow": _default_bins}
