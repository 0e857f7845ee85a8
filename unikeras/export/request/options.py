"""What a call asks of the toolchains, sorted by format, and how close an artifact then has to be."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from unikeras.errors import ArgumentError, ArgumentValueError

# Which formats an option is for.
TAKEN_BY: dict[str, tuple[str, ...]] = {
    "opset": ("onnx", "openvino"),
    "endpoints": ("saved_model",),
    "quantize": ("litert",),
}

QUANTIZE = ("float16", "int8")

# The oldest operator set that a toolchain writes.
OLDEST_OPSET = 7

# Keywords of toolchains that would contradict what `export_model` passes, and what to use instead.
SET_BY_US: dict[str, str] = {
    "args": "signature=",
    "dynamic_axes": "signature=",
    "dynamic_shapes": "signature=",
    "dynamo": "the exporters are tried in turn",
    "example_inputs": "signature=",
    "input_names": "the model's own names are kept",
    "input_signature": "signature=",
    "output_names": "the model's own names are kept",
}

# rtol and atol at least, where numbers of fewer digits are computed with: a step of float16 is 1e-3 of the
# value and one of bfloat16 8e-3, and sums of many steps differ with their order.
COARSE: dict[str, tuple[float, float]] = {"float16": (1e-2, 5e-3), "bfloat16": (5e-2, 5e-2)}

# The same where images of integers are resized and rounded: what lies halfway may go to either side.
ROUNDED = (1e-2, 5e-3)

# The same where LiteRT rounds the weights, and for int8 the activations, to the range of the samples.
QUANTIZED: dict[str, tuple[float, float]] = {"float16": (1e-2, 5e-3), "int8": (1e-1, 1e-1)}


def sort_by_format(
    formats: Sequence[str], named: Mapping[str, Any], exporter: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Return for each format the options that its writers get.

    Args:
        formats: those asked for.
        named: the options of `TAKEN_BY`; None for one that is not given.
        exporter: keyword arguments for the toolchain itself.

    Raises:
        ArgumentValueError: no format asked for takes an option, or keyword arguments come with several formats.

    Example:
        >>> sort_by_format(["onnx", "pt2"], {"opset": 18}, {})
        {'onnx': {'opset': 18}, 'pt2': {}}
    """
    given = {name: value for name, value in named.items() if value is not None}
    for name in given:
        if not set(TAKEN_BY[name]) & set(formats):
            raise ArgumentValueError(
                f"{name}= is for {' and '.join(TAKEN_BY[name])}; this call writes {', '.join(formats)}"
            )
    if exporter and len(formats) > 1:
        raise ArgumentValueError(
            f"{', '.join(exporter)}: a toolchain's own arguments fit one format; export {', '.join(formats)} "
            "in calls of their own"
        )
    return {
        format: {name: value for name, value in given.items() if format in TAKEN_BY[name]} | dict(exporter)
        for format in formats
    }


def check_known(exporter: Collection[str], known: Collection[str], own: Collection[str]) -> None:
    """Refuse keywords that neither `export_model` nor a toolchain of the formats takes.

    Args:
        exporter: those of a call beyond the options of `export_model`.
        known: what the toolchains take.
        own: the options of `export_model`.

    Raises:
        ArgumentError: some are unknown, or set by `export_model` itself; the message names all of them.

    Example:
        >>> check_known(["quantise"], [], ["quantize"])
        Traceback (most recent call last):
        unikeras.errors.ArgumentError: export_model takes no quantise=, did you mean quantize=?
    """
    reasons = []
    for name in exporter:
        if name in SET_BY_US:
            reasons.append(f"{name}=, which it sets itself ({SET_BY_US[name]})")
        elif name not in known:
            close = difflib.get_close_matches(name, [*own, *known], 1)
            reasons.append(f"{name}=, did you mean {close[0]}=?" if close else f"{name}=")
    if reasons:
        allowed = "" if any("did you mean" in reason for reason in reasons) or not known else _allowed(known)
        raise ArgumentError(f"export_model takes no {'; no '.join(reasons)}{allowed}")


def _allowed(known: Collection[str]) -> str:
    return f"; the toolchains of this format take {', '.join(sorted(known))}"


def check_opset(opset: Any) -> None:
    """Refuse an operator set that no toolchain writes.

    Raises:
        ArgumentError: it is no number.
        ArgumentValueError: it is older than any that is written.
    """
    if opset is None:
        return
    if not isinstance(opset, int) or isinstance(opset, bool):
        raise ArgumentError(f"opset is the number of one of ONNX's operator sets; received {opset!r}")
    newest = _newest_opset()
    if not OLDEST_OPSET <= opset <= newest:
        raise ArgumentValueError(f"opset is a number from {OLDEST_OPSET} to {newest}; received {opset}")


def _newest_opset() -> int:
    import onnx

    return int(onnx.defs.onnx_opset_version())


def check_quantize(quantize: Any, samples: Any) -> None:
    """Refuse a quantization that does not exist, and int8 without samples.

    Raises:
        ArgumentValueError: that.
    """
    if quantize not in (None, *QUANTIZE):
        raise ArgumentValueError(
            f"quantize has to be {' or '.join(map(repr, QUANTIZE))}; received {quantize!r}"
        )
    if quantize == "int8" and samples is None:
        raise ArgumentValueError(
            "quantize='int8' needs samples=, inputs as the model will see them (a hundred or so): the range "
            "of each activation is measured on them"
        )


def tolerances(model: Any, quantize: str | None, rtol: float, atol: float) -> tuple[float, float]:
    """Return the tolerances of a verification: those asked for, or the larger ones of what is computed with.

    Args:
        model: a Keras model, whose layers may compute in float16 or bfloat16.
        quantize: what LiteRT rounds to; None for nothing.
        rtol: relative tolerance asked for.
        atol: absolute tolerance asked for.
    """
    computes = {str(getattr(layer, "compute_dtype", None)) for layer in model._flatten_layers()}
    least = [COARSE[dtype] for dtype in computes if dtype in COARSE]
    least += [QUANTIZED[quantize]] if quantize else []
    return max([rtol, *(pair[0] for pair in least)]), max([atol, *(pair[1] for pair in least)])
