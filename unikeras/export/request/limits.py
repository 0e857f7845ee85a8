"""What a format cannot hold whatever the toolchain: said before any of them is tried."""

from __future__ import annotations

from typing import Any

from unikeras._specs.signature import Signature
from unikeras.errors import ExportError

# Layers that look values up in tables, or hash them, by TensorFlow's own means.
TABLES = ("TextVectorization", "StringLookup", "IntegerLookup", "Hashing", "HashedCrossing")

NO_COMPLEX = ("onnx", "litert", "openvino")


def check_can_hold(model: Any, signature: Signature, format: str) -> None:
    """Refuse strings and tables outside a SavedModel, and complex numbers where there are none.

    Raises:
        ExportError: the model has what the format has not; the message says what to do.
    """
    if format == "saved_model":
        return
    for layer in model._flatten_layers():
        mode = getattr(layer, "quantization_mode", None)
        if mode and format == "litert":
            raise ExportError(
                f"layer {layer.name!r} is quantized by Keras ({mode}), in operators that LiteRT does not have; "
                "export the model as it was before model.quantize, with quantize='int8' and samples=, which "
                "has LiteRT's own converter quantize it"
            )
        if type(layer).__name__ in TABLES:
            raise ExportError(
                f"layer {layer.name!r} ({type(layer).__name__}) looks values up in a table, which only a "
                f"saved_model holds; split the model behind it and export the rest as {format}, with the "
                f"layer's output as input"
            )
    for spec in (*signature.inputs, *signature.outputs):
        if spec.dtype == "string":
            raise ExportError(
                f"{spec} is text, which only a saved_model takes; split the model where text has become "
                f"numbers and export the rest as {format}"
            )
        if str(spec.dtype).startswith("complex") and format in NO_COMPLEX:
            raise ExportError(
                f"{spec} is complex, which {format} is not; pass real and imaginary part as two"
            )


def axes_hint(signature: Signature) -> str:
    """Return how to fix the dynamic axes that a toolchain may have stumbled over; "" where there are none.

    Example:
        >>> from unikeras._specs.signature import TensorSpec
        >>> tokens = TensorSpec("x", (None, None), "int32", ("batch", "time"))
        >>> axes_hint(Signature((tokens,), (), [0], 0))
        "dynamic axes are x: time; fix one with signature={'x': keras.InputSpec(shape=(None, 8), dtype='int32')}"
    """
    free = {
        spec: [name for axis, name in spec.dynamic.items() if axis]
        for spec in signature.inputs
        if any(spec.dynamic)
    }
    if not free:
        return ""
    named = "; ".join(f"{spec.name}: {', '.join(axes)}" for spec, axes in free.items())
    first = next(iter(free))
    shape = tuple(
        signature.length if size is None and axis else size for axis, size in enumerate(first.shape or ())
    )
    return (
        f"dynamic axes are {named}; fix one with signature={{{first.name!r}: "
        f"keras.InputSpec(shape={shape}, dtype={first.dtype!r})}}"
    )
