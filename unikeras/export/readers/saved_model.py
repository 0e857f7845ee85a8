"""SavedModel folders, in TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unikeras._base.library_warnings import ignore_warnings
from unikeras._keras.samples import Array
from unikeras._specs.signature import TensorSpec
from unikeras.export._metadata import FILE
from unikeras.export.readers.artifact import Artifact, foreign_signature
from unikeras.export.request.needs import describe_missing


class SavedModelArtifact(Artifact):
    """A SavedModel, called through its `serving_default` signature."""

    format = "saved_model"
    worker = "tensorflow"
    runs_code = True
    names = "identifiers"
    modules = ("tensorflow",)

    @classmethod
    def missing(cls) -> str | None:
        """Say whether TensorFlow is absent."""
        return describe_missing("running a saved_model", {"tensorflow": ["tensorflow"]})

    def __init__(self, path: Path) -> None:
        import tensorflow as tf

        with ignore_warnings(
            loggers=["absl", "tensorflow"]
        ):  # which warn of gradients that an artifact has no use for
            self._loaded = tf.saved_model.load(str(path))
        # The function alone does not keep its variables alive.
        self._serve = self._loaded.signatures["serving_default"]
        # A signature is a map, which comes back in any order; without our note of it, that of the names.
        inputs = [_spec(*named) for named in sorted(self._serve.structured_input_signature[1].items())]
        outputs = [_spec(*named) for named in sorted(self._serve.structured_outputs.items())]
        note = path / "assets.extra" / FILE
        self._read(note.read_bytes() if note.is_file() else None, foreign_signature(inputs, outputs))
        self._keys = self.signature.identifiers if self.metadata else self.signature.input_names

    def run(self, inputs: list[Array]) -> list[Array]:
        """Call the signature by the names of its parameters."""
        import tensorflow as tf

        tensors = {key: tf.constant(array) for key, array in zip(self._keys, inputs, strict=True)}
        outputs = self._serve(**tensors)
        return [outputs[name].numpy() for name in self.signature.output_names]


def _spec(name: str, spec: Any) -> TensorSpec:
    shape = None if spec.shape.rank is None else tuple(spec.shape)
    return TensorSpec(name, shape, spec.dtype.name)
