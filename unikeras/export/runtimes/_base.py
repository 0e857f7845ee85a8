"""The contract of a runtime: one format's own program, seen as something that predicts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from unikeras.errors import SignatureError
from unikeras.export._metadata import loads
from unikeras.export._samples import Array
from unikeras.export._signature import Signature, TensorSpec, numpy_dtype
from unikeras.export._structure import put_together


class Artifact(ABC):
    """An exported model, loaded in its format's own runtime.

    Attributes:
        format: the format's name.
        metadata: what `export_model` wrote into it; empty where something else made it.
        signature: its inputs and outputs, in order.

    Example:
        >>> import keras, tempfile, unikeras as uk
        >>> offer = next(row for row in uk.export_formats() if row.available)
        >>> model = keras.Sequential([keras.Input((4,), name="x"), keras.layers.Dense(2, name="y")])
        >>> path = f"{tempfile.mkdtemp()}/model{offer.suffix}"
        >>> report = uk.export_model(model, path)
        >>> artifact = uk.load_artifact(path)
        >>> str(artifact.signature)
        '(x: float32 (None, 4)) -> (y: float32 (None, 2))'
        >>> artifact.predict(np.ones((3, 4), "float32")).shape
        (3, 2)
    """

    format: ClassVar[str]
    # The backend whose worker has the runtime at hand; None for one without a framework.
    worker: ClassVar[str | None]

    metadata: dict[str, Any]
    signature: Signature

    @classmethod
    @abstractmethod
    def missing(cls) -> str | None:
        """Say in one sentence what is not installed, with the pip line, or None where all is there."""

    @abstractmethod
    def __init__(self, path: Path) -> None:
        """Load an artifact; whatever this raises means that the file is none."""

    @abstractmethod
    def run(self, inputs: list[Array]) -> Any:
        """Return what the artifact computes, as numpy arrays.

        Args:
            inputs: one array per input, in the signature's order, of its dtypes.

        Returns:
            A list of the outputs in the signature's order, or, where the signature names none, whatever
            structure the artifact has.
        """

    def predict(self, x: Any) -> Any:
        """Run the artifact.

        Args:
            x: the inputs, batch first: an array; a list or tuple in the signature's order; a dict by
                input name; or the model's own nested structure. Values are cast to the input's dtype
                within their kind (float64 to float32), integers also to floats.

        Returns:
            Numpy arrays in the model's own structure: one array, a list, or a dict by output name.

        Raises:
            SignatureError: names, number, shapes or dtypes do not fit the signature.
        """
        values = self.signature.flatten(x)
        outputs = self.run(
            [_fitted(spec, value) for spec, value in zip(self.signature.inputs, values, strict=True)]
        )
        return put_together(self.signature.results, outputs) if self.signature.outputs else outputs

    def _read(self, text: str | bytes | None, foreign: Signature) -> None:
        """Set metadata and signature from the metadata's text, or from what the runtime itself knows."""
        self.metadata = loads(text)
        known = self.metadata.get("signature")
        self.signature = Signature.from_dict(known) if known else foreign

    def __repr__(self) -> str:
        return f"<{self.format} artifact {self.signature}>"


def foreign(inputs: list[TensorSpec], outputs: list[TensorSpec]) -> Signature:
    """Return the signature of an artifact that something else made: one output alone, or a dict."""
    numbers = list(range(len(outputs)))
    results = 0 if len(outputs) == 1 else dict(zip((spec.name for spec in outputs), numbers, strict=True))
    return Signature(tuple(inputs), tuple(outputs), list(range(len(inputs))), results)


def _fitted(spec: TensorSpec, value: Any) -> Array:
    array = np.asarray(value)
    if spec.dtype is not None:
        dtype = numpy_dtype(spec.dtype)
        if array.dtype != dtype and not np.can_cast(array.dtype, dtype, "same_kind"):
            raise SignatureError(f"input {spec} received dtype {array.dtype}; cast it first")
        array = array.astype(dtype, copy=False)
    if not _fits(array.shape, spec.shape):
        raise SignatureError(f"input {spec} received shape {array.shape}")
    return array


def _fits(shape: tuple[int, ...], allowed: tuple[int | None, ...] | None) -> bool:
    if allowed is None:
        return True
    return len(shape) == len(allowed) and all(
        want in (None, size) for size, want in zip(shape, allowed, strict=True)
    )
