"""SavedModel by Keras' own exporter, which runs under TensorFlow and, through jax2tf, under JAX."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from unikeras import backends
from unikeras._base.library_warnings import ignore_warnings
from unikeras._keras.time_distributed import time_joins_batch
from unikeras._specs.signature import Signature
from unikeras._specs.structure import leaves_as, put_together
from unikeras.export._metadata import FILE, dumps
from unikeras.export.request.needs import describe_missing
from unikeras.export.writers._tf_names import legal_names
from unikeras.export.writers.writer import Writer, WriteRequest


class KerasSavedModel(Writer):
    """`keras.export.ExportArchive`, with the model's own names in the default signature.

    The artifact has `serve`, called as the model is and returning what it returns, and
    `serving_default`, with inputs and outputs by name.
    """

    name = "keras.export"
    formats = ("saved_model",)
    backends = ("tensorflow", "jax")
    packages = ("tensorflow",)
    options = ("endpoints", "options")

    def missing(self, format: str) -> str | None:
        """Say whether TensorFlow is absent."""
        return describe_missing("writing a saved_model", {"tensorflow": ["tensorflow"]})

    def write(self, model: Any, path: Path, request: WriteRequest) -> None:
        """Write the folder, and the metadata beside TensorFlow's own files."""
        import keras

        # jax deprecated an argument that Keras always passes; absl and TensorFlow report progress.
        hushed = ignore_warnings("The `native_serialization` parameter", loggers=["absl", "tensorflow"])
        with hushed, legal_names(model), time_joins_batch():
            archive = keras.export.ExportArchive()
            archive.track(model)
            specs, options = _specs(request.signature), backends.current().saved_model_options()
            serve = _serve(model, request.signature)
            serve = archive.add_endpoint("serve", serve, input_signature=specs, **options)
            archive.add_endpoint("serving_default", _by_name(serve, request.signature))
            own = dict(request.options)
            for name, (function, inputs) in own.pop("endpoints", {}).items():
                archive.add_endpoint(
                    name, _bound(function, model, len(inputs)), input_signature=inputs, **options
                )
            archive.write_out(str(path), verbose=False, **own)
        extra = path / "assets.extra"
        extra.mkdir(exist_ok=True)
        (extra / FILE).write_text(dumps(request.metadata), encoding="utf-8")


def _specs(signature: Signature) -> Any:
    import keras

    flat = [
        keras.InputSpec(shape=spec.shape, dtype=spec.dtype, name=name)
        for spec, name in zip(signature.inputs, signature.identifiers, strict=True)
    ]
    return put_together(signature.arguments, flat)


def _serve(model: Any, signature: Signature) -> Callable[..., Any]:
    def serve(*arguments: Any) -> Any:
        outputs = signature.call(model, leaves_as(signature.arguments, list(arguments)))
        return put_together(_results(signature), outputs)

    # jax2tf counts the parameters.
    names = [f"argument_{number}" for number in range(len(signature.arguments))]
    serve.__signature__ = _parameters(names)  # type: ignore[attr-defined]
    return serve


def _bound(function: Callable[..., Any], model: Any, count: int) -> Callable[..., Any]:
    def endpoint(*tensors: Any) -> Any:
        return function(model, *tensors)

    endpoint.__signature__ = _parameters([f"argument_{number}" for number in range(count)])  # type: ignore[attr-defined]
    return endpoint


def _results(signature: Signature) -> Any:
    """Return the structure that `serve` returns: the model's own, or a flat dict where that is nested deeper.

    A SavedModel's signatures return one level of nesting.
    """
    results = signature.results
    inner = results.values() if isinstance(results, dict) else results if isinstance(results, list) else []
    return (
        results
        if all(isinstance(one, int) for one in inner)
        else {name: number for number, name in enumerate(signature.output_names)}
    )


def _by_name(serve: Callable[..., Any], signature: Signature) -> Any:
    import tensorflow as tf

    def serving_default(*tensors: Any) -> dict[str, Any]:
        results = serve(*put_together(signature.arguments, tensors))
        return dict(zip(signature.output_names, leaves_as(_results(signature), results), strict=True))

    serving_default.__signature__ = _parameters(signature.identifiers)  # type: ignore[attr-defined]
    specs = [
        tf.TensorSpec(spec.shape, spec.dtype, name=name)
        for spec, name in zip(signature.inputs, signature.identifiers, strict=True)
    ]
    function = tf.function(serving_default, input_signature=specs, autograph=False)
    function.get_concrete_function()
    return function


def _parameters(names: list[str]) -> inspect.Signature:
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return inspect.Signature([inspect.Parameter(name, kind) for name in names])
