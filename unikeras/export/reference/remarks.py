"""What a report says of the comparison with a model: what had to be guessed, and what differs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from unikeras._specs.signature import Signature, TensorSpec
from unikeras.export.reference.predictions import as_predicted, remark_on_eager
from unikeras.export.reference.probe import LENGTHS, KnownModel, SampleBatch


def remarks_on(
    known: KnownModel, signature: Signature, batches: list[SampleBatch], wanted: Mapping[str, Any] | None
) -> list[str]:
    """Return what a report says of the comparison with a model: what had to be guessed, and what differs.

    Args:
        known: the model, from `know`.
        signature: from `probe`.
        batches: from `probe`.
        wanted: what was asked for there.
    """
    model = known.model
    remarks = []
    unsure = [name for name in known.unsure if name not in (wanted or {})]
    if unsure:
        dtypes = {spec.name: spec.dtype for spec in signature.inputs}
        guessed = ", ".join(f"{name} is taken to be {dtypes[name]}" for name in unsure)
        remarks.append(
            f"Keras records no dtypes of a subclassed model's inputs: {guessed}; "
            "signature={name: keras.InputSpec(shape=..., dtype=...)} says otherwise"
        )
    if batches and not known.runs_eagerly:
        first = batches[0]
        remarks.append(
            remark_on_eager(lambda tensors: signature.call(model, tensors), first.inputs, first.outputs)
        )
    if _predicts_otherwise(model):
        remarks.append("the model's predict_step is its own; the artifact computes what call() computes")
    if rounds_integers(model, signature):
        remarks.append(
            "Resizing rounds integers here: a value halfway between two may round the other way in another runtime"
        )
    if (length := shortest_of(signature, batches)) > max(map(max, LENGTHS)):
        remarks.append(f"verified where dynamic axes are {length} or more; the model refused shorter ones")
    return [remark for remark in remarks if remark]


def shortest_of(signature: Signature, batches: list[SampleBatch]) -> int:
    """Return the least that a dynamic axis other than the batch is in any run; 0 where there is none."""
    sizes = [
        array.shape[axis]
        for run in batches
        for spec, array in zip(signature.inputs, run.inputs, strict=True)
        for axis in spec.dynamic
        if axis
    ]
    return min(sizes, default=0)


def rounds_integers(model: Any, signature: Signature) -> bool:
    """Say whether a model resizes integers and rounds what comes out, as it is predicted with."""
    import keras

    if not any(str(spec.dtype).startswith(("int", "uint")) for spec in signature.inputs):
        return False
    resizing = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.Resizing)]
    return any(map(_gives_integers, resizing))


def _gives_integers(layer: Any) -> bool:
    image = np.zeros((1, 2, 2, 1), "uint8")
    spec = TensorSpec("image", image.shape, "uint8")
    (resized,) = as_predicted(lambda tensors: [layer(tensors[0])], [spec], [image], False)
    return resized.dtype.kind in "iu"


def _predicts_otherwise(model: Any) -> bool:
    module = getattr(type(model).predict_step, "__module__", "") or ""
    return not module.startswith(("keras.", "unikeras."))
