"""What a model may be compared with on one backend: another model, an artifact, a torch module."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from unikeras import export
from unikeras._keras.samples import Sizes
from unikeras._specs.signature import Signature, TensorSpec
from unikeras._specs.structure import take_apart
from unikeras.compare._gaps import Array
from unikeras.compare._module_side import run_module_side
from unikeras.compare._prepared_model import PreparedModel, copy_of
from unikeras.compare._side_records import SideRun
from unikeras.compare._side_run import run_side
from unikeras.errors import ArgumentError, ArgumentValueError, SignatureError, UnikerasError

KERAS_SUFFIXES = (".keras", ".h5")


@dataclass(frozen=True)
class Counterpart:
    """What a model is compared with.

    Attributes:
        name: for the report.
        run: takes the prepared model and the run of its side; returns the run of this side, and which calls belong
            together where names and order do not tell.
        trains: whether its training steps can be compared.
        sizes: those of the dynamic axes that it is known to take; None where any will do.
        remarks: returns what to know of it, for a model as the user passed it.
    """

    name: str
    run: Callable[[PreparedModel, SideRun], tuple[SideRun, list[tuple[int, int]] | None]]
    trains: bool = False
    sizes: Sizes | None = None
    remarks: Callable[[Any], Iterator[str]] = field(default=lambda model: iter(()))


def counterpart_of(against: Any, steps: int, same_weights: bool, trust: bool, backend: str) -> Counterpart:
    """Return what `against` stands for.

    Args:
        against: a Keras model, the path of one or of an artifact, an artifact, or a torch module.
        steps: how many training steps.
        same_weights: whether a Keras model gets the first one's weights.
        trust: whether an artifact may run what its maker wrote.
        backend: this process's.

    Raises:
        ArgumentError: it is none of these.
        UnikerasError: its file cannot be opened.
    """
    import keras

    if isinstance(against, str | Path):
        if Path(against).suffix.lower() in KERAS_SUFFIXES:
            against = export.load_keras(Path(against), backend, compiled=True)
        else:
            return _of_artifact(export.load_artifact(against, trust=trust), Path(against).name)
    if isinstance(against, keras.Model):
        return _of_model(against, steps, same_weights)
    if isinstance(against, export.Artifact):
        return _of_artifact(against, f"{against.format} artifact")
    if _is_torch_module(against):
        return Counterpart(
            f"{type(against).__name__} of torch",
            lambda prepared, first: run_module_side(against, prepared, first),
        )
    raise ArgumentError(
        "against= takes a Keras model, the path of one or of an artifact, or a torch module; received "
        f"{type(against).__qualname__}"
    )


def _of_model(model: Any, steps: int, same_weights: bool) -> Counterpart:
    def run(prepared: PreparedModel, first: SideRun) -> tuple[SideRun, None]:
        copy = copy_of(model)
        if not copy.built:
            raise ArgumentValueError(f"the second model, {model.name!r}, is not built")
        _check_inputs(prepared, copy)
        if same_weights:
            _share_weights(prepared.model, copy)
        if prepared.model.compiled and not copy.compiled:
            copy.compile_from_config(prepared.model.get_compile_config())
        return run_side(copy, prepared.samples, steps, first), None

    return Counterpart(model.name, run, trains=True)


def _share_weights(first: Any, second: Any) -> None:
    mine, theirs = first.get_weights(), second.get_weights()
    if [array.shape for array in mine] != [array.shape for array in theirs]:
        raise ArgumentValueError(
            "same_weights=True needs weights of the same shapes, in the same order; those of the two models differ"
        )
    second.set_weights(mine)


def _check_inputs(prepared: PreparedModel, second: Any) -> None:
    from unikeras._keras.discovery import declaration_of

    if prepared.signature is None:
        return
    try:
        specs = declaration_of(second).inputs
    except UnikerasError:  # a subclassed model says so when it runs
        return
    _check_specs(prepared, specs, f"the second model, {second.name!r}, takes other inputs")


def _check_specs(prepared: PreparedModel, specs: Sequence[TensorSpec], problem: str) -> None:
    mine = [spec.shape for spec in prepared.signature.inputs] if prepared.signature else []
    shapes = [array.shape for array in prepared.samples.inputs]
    fits = len(shapes) == len(specs) and all(
        spec.shape is None
        or (
            len(spec.shape) == len(shape)
            and all(size in (None, given) for size, given in zip(spec.shape, shape, strict=True))
        )
        for spec, shape in zip(specs, shapes, strict=True)
    )
    if not fits:
        theirs = ", ".join(map(str, specs)) or "none"
        raise SignatureError(
            f"{problem}: {theirs}; those of {prepared.model.name!r} have shapes {mine or shapes}"
        )


def _of_artifact(artifact: export.Artifact, name: str) -> Counterpart:
    signature = artifact.signature

    def run(prepared: PreparedModel, first: SideRun) -> tuple[SideRun, None]:
        other = f"{name} is an artifact of another model; its inputs"
        inputs = _in_order(signature, prepared)
        _check_specs(prepared, signature.inputs, other)
        _, leaves = take_apart(artifact.predict(inputs))
        outputs = [np.asarray(leaf) for leaf in leaves]
        expected = [array.shape for array in first.outputs]
        if [array.shape for array in outputs] != expected:
            raise SignatureError(
                f"{name} is an artifact of another model; its outputs have shapes "
                f"{[array.shape for array in outputs]}, those of {prepared.model.name!r} {expected}"
            )
        return SideRun(dict(artifact.metadata.get("versions", {})), outputs, []), None

    return Counterpart(
        name, run, sizes=_sizes_of(signature), remarks=lambda model: _remarks(artifact, name, model)
    )


def _in_order(signature: Signature, prepared: PreparedModel) -> list[Array]:
    """Return the samples in the artifact's order: by name where the names are the same."""
    names = prepared.signature.input_names if prepared.signature else []
    by_name = dict(zip(names, prepared.samples.inputs, strict=False))
    if set(by_name) == set(signature.input_names):
        return [by_name[name] for name in signature.input_names]
    return prepared.samples.inputs


def _sizes_of(signature: Signature) -> Sizes | None:
    if not signature.inputs or any(spec.shape is None for spec in signature.inputs):
        return None
    return Sizes(signature.batch or 4, signature.length, signature.stretch, signature.apart)


def _remarks(artifact: export.Artifact, name: str, model: Any) -> Iterator[str]:
    yield f"of an artifact, the outputs are compared: {name} has no layers to look into"
    if artifact.metadata.get("weights_sha256") not in (None, export.sha256_of_weights(model)):
        yield f"{name} was exported from other weights than the model has now"


def _is_torch_module(value: Any) -> bool:
    if not callable(getattr(value, "named_modules", None)):
        return False  # before torch is imported
    from unikeras.lowering import is_torch_module

    return is_torch_module(value)
