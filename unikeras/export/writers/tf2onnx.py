"""ONNX from TensorFlow, by tf2onnx with Keras' repairs to it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unikeras._base.library_warnings import ignore_warnings
from unikeras.export.request.needs import describe_missing
from unikeras.export.writers import _onnx_file
from unikeras.export.writers.writer import Writer, WriteRequest


class Tf2Onnx(Writer):
    """`tf2onnx.convert` of the model as a `tf.function`."""

    name = "tf2onnx"
    formats = ("onnx",)
    backends = ("tensorflow",)
    packages = ("tensorflow", "onnx", "tf2onnx")
    options = (
        "opset",
        "custom_ops",
        "custom_op_handlers",
        "custom_rewriter",
        "extra_opset",
        "inputs_as_nchw",
        "large_model",
        "outputs_as_nchw",
        "shape_override",
        "target",
    )

    def missing(self, format: str) -> str | None:
        """Say whether TensorFlow, onnx or tf2onnx is absent."""
        needs = {"tensorflow": ["tensorflow"], "onnx": ["onnx", "tf2onnx"]}
        return describe_missing("writing onnx through TensorFlow", needs)

    def write(self, model: Any, path: Path, request: WriteRequest) -> None:
        """Convert and write the file."""
        import tensorflow as tf

        specs = [
            tf.TensorSpec(spec.shape, spec.dtype, name=_onnx_file.INPUT.format(number))
            for number, spec in enumerate(request.signature.inputs)
        ]

        def flat(*tensors: Any) -> dict[str, Any]:
            outputs = request.signature.call(model, tensors)
            # An output that is an input, or another output, needs a name of its own.
            return {_onnx_file.OUTPUT.format(number): tf.identity(one) for number, one in enumerate(outputs)}

        function = tf.function(flat, input_signature=specs, autograph=False)
        _onnx_file.save(_convert(function, specs, request.options), path, request.signature, request.metadata)


def _convert(function: Any, specs: list[Any], options: Mapping[str, Any]) -> Any:
    # Keras' patch asks numpy for `np.object`, which warns; tf2onnx logs what it then raises.
    with ignore_warnings("In the future `np.object`", loggers=["tf2onnx", "tensorflow"]):
        import tf2onnx
        from keras.src.export.tf2onnx_lib import patch_tf2onnx

        patch_tf2onnx()
        handlers: dict[str, Any] = {"Erfc": (_erfc, [])}
        return tf2onnx.convert.from_function(function, specs, custom_op_handlers=handlers, **options)[0]


def _erfc(ctx: Any, node: Any, name: str, args: Any) -> None:
    """Write 1 - erf(x) for erfc(x), of which the exact gelu is made: ONNX has only the former."""
    import numpy as np
    from tf2onnx.utils import map_onnx_to_numpy_type

    source, (output,) = node.input[0], node.output
    kind = {"dtypes": [ctx.get_dtype(output)], "shapes": [ctx.get_shape(output)]}
    ctx.remove_node(node.name)
    one = ctx.make_const(f"{node.name}/one", np.array(1, map_onnx_to_numpy_type(kind["dtypes"][0])))
    erf = ctx.make_node("Erf", [source], **kind)
    ctx.make_node("Sub", [one.output[0], erf.output[0]], outputs=[output], name=node.name, **kind)
