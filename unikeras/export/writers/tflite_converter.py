"""LiteRT by TensorFlow's converter, with LiteRT's builtin operators only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from unikeras._base.library_warnings import ignore_warnings
from unikeras._base.output_streams import hold_back_output
from unikeras._base.text import brief
from unikeras._keras.time_distributed import time_joins_batch
from unikeras._specs.signature import Signature
from unikeras.export._metadata import dumps
from unikeras.export.reference.artifact_state import ArtifactState
from unikeras.export.request.needs import describe_missing
from unikeras.export.writers import _flatbuffer, _litert_rewrites
from unikeras.export.writers._float32 import in_float32
from unikeras.export.writers._tf_names import legal_names
from unikeras.export.writers.writer import Writer, WriteRequest

# A recurrence of more steps than this is written as a loop: unrolled, each step is operators of its own.
MOST_STEPS = 256

ONE_BY_ONE = (
    "holds one example at a time, because LiteRT cannot keep the batch dynamic together with {axes}; "
    "load_artifact(...).predict takes any number, signature= fixes another batch size (with a dynamic batch: {why})"
)


# Attributes of TFLiteConverter that a caller may set.
CONVERTER = (
    "allow_custom_ops",
    "canonicalizing_inf_as_min_max_float",
    "exclude_conversion_metadata",
    "experimental_new_converter",
    "experimental_new_dynamic_range_quantizer",
    "experimental_new_quantizer",
    "inference_input_type",
    "inference_output_type",
    "optimizations",
    "representative_dataset",
    "serialize_debug_metadata",
    "target_spec",
    "unfold_batchmatmul",
)


class LiteRt(Writer):
    """`tf.lite.TFLiteConverter` of a `tf.function` with the model's own names as its signature."""

    name = "tf.lite"
    formats = ("litert",)
    backends = ("tensorflow",)
    packages = ("tensorflow", "ai-edge-litert")
    options = ("quantize", "samples", *CONVERTER)

    def missing(self, format: str) -> str | None:
        """Say whether TensorFlow, or LiteRT's own package, is absent."""
        return describe_missing(
            "writing litert", {"tensorflow": ["tensorflow"], "litert": ["ai_edge_litert"]}
        )

    def write(self, model: Any, path: Path, request: WriteRequest) -> str | None:
        """Convert and write the file; with a batch of one where the batch cannot be dynamic."""
        signature, remark = request.signature, None
        unrolled = can_unroll(signature, request.artifact_state)
        content = _convert(model, signature, unrolled, request.options)
        single = with_batch(signature, 1)
        if isinstance(content, Exception) and single != signature:
            first, content = content, _convert(model, single, False, request.options)
            axes = [name for spec in signature.inputs for axis, name in spec.dynamic.items() if axis]
            remark = ONE_BY_ONE.format(axes=", ".join(axes) or "what the model computes", why=brief(first))
            content = first if isinstance(content, Exception) else content
        if isinstance(content, Exception):
            raise content
        path.write_bytes(_flatbuffer.with_note(content, dumps(request.metadata)))
        return remark


def can_unroll(signature: Signature, artifact_state: ArtifactState | None = None) -> bool:
    """Say whether a recurrence over the inputs has a known, moderate number of steps; states have none."""
    states = artifact_state.input_names if artifact_state else ()
    inputs = [spec for spec in signature.inputs if spec.name not in states]
    steps = [spec.shape[1] for spec in inputs if len(spec.shape or ()) > 1]  # type: ignore[index]
    return all(step is not None and step <= MOST_STEPS for step in steps)


def with_batch(signature: Signature, size: int) -> Signature:
    """Return a signature whose inputs have this batch size where it was dynamic."""
    inputs = [
        replace(spec, shape=(size, *spec.shape[1:]), axes=spec.axes[1:])
        if spec.shape and spec.shape[0] is None
        else spec
        for spec in signature.inputs
    ]
    return replace(signature, inputs=tuple(inputs))


def _convert(
    model: Any, signature: Signature, unrolled: bool, options: Mapping[str, Any]
) -> bytes | Exception:
    """Return the file's content, or the reason why there is none; what the converter prints is dropped."""
    with (
        hold_back_output(),
        ignore_warnings(r"\s*Warning: tf.lite.Interpreter is deprecated", loggers=["absl", "tensorflow"]),
    ):
        try:
            whole = in_float32(model)
            with _litert_rewrites.builtin_only(whole, unrolled), legal_names(whole), time_joins_batch():
                module = _module(whole, signature)
                return bytes(_converter(module, signature, options).convert())
        except Exception as error:  # the converter has many ways to say no
            return error


def _module(model: Any, signature: Signature) -> Any:
    import tensorflow as tf

    specs = [
        tf.TensorSpec(spec.shape, spec.dtype, name=name)
        for spec, name in zip(signature.inputs, signature.identifiers, strict=True)
    ]

    def serve(*tensors: Any) -> dict[str, Any]:
        outputs = signature.call(model, tensors)
        return {name: tf.identity(one) for name, one in zip(signature.output_names, outputs, strict=True)}

    module = tf.Module()
    module.kept = [variable.value for variable in model.variables]  # or the file would have none of them
    module.serve = tf.function(serve, input_signature=specs, autograph=False)
    return module


def _converter(module: Any, signature: Signature, options: Mapping[str, Any]) -> Any:
    import tensorflow as tf

    function = module.serve.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], module)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    converter._experimental_lower_tensor_list_ops = True  # or a loop would need TensorFlow's lists
    own = dict(options)
    _quantize(converter, signature, own.pop("quantize", None), own.pop("samples", None))
    for name, value in own.items():
        if not hasattr(converter, name):
            raise TypeError(f"TFLiteConverter has no attribute {name!r}")
        setattr(converter, name, value)
    return converter


def _quantize(converter: Any, signature: Signature, kind: str | None, samples: Any) -> None:
    """Have weights rounded to float16, or weights and activations to int8; inputs and outputs stay."""
    import tensorflow as tf

    if kind is None:
        return
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "float16":
        converter.target_spec.supported_types = [tf.float16]
        return

    def one_by_one() -> Iterator[dict[str, Any]]:
        for number in range(len(samples[0])):
            values = [array[number : number + 1] for array in samples]
            yield dict(zip(signature.identifiers, values, strict=True))

    converter.representative_dataset = one_by_one
