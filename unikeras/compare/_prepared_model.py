"""A copy of a model that both sides start from, and the data that they run on."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from unikeras import backends
from unikeras._base.text import brief
from unikeras._keras import archive
from unikeras._keras.discovery import declaration_of
from unikeras._keras.layer_calls import parts_of, walk
from unikeras._keras.samples import Sampler, Sizes
from unikeras._specs.signature import Signature, TensorSpec, numpy_dtype
from unikeras._specs.structure import put_together, take_apart
from unikeras.compare._gaps import Array, Tolerance
from unikeras.compare._made_targets import make_targets
from unikeras.compare._sample_files import read_samples
from unikeras.compare._side_records import Samples
from unikeras.errors import ArgumentError, ArgumentValueError, ExportError, SignatureError

# What a layer's rounding comes to over some tens of layers, by the coarsest dtype that one computes in.
TOLERANCES = {
    "float64": Tolerance(1e-10, 1e-12),
    "float32": Tolerance(2e-5, 1e-6),
    "float16": Tolerance(1e-2, 1e-3),
    "bfloat16": Tolerance(5e-2, 5e-3),
}
BATCH, LARGEST_BATCH = 4, 32
_LENGTHS = (8, 16, 32, 64, 128, 256, 1024, 4096)


@dataclass(frozen=True)
class PreparedModel:
    """A model that was copied, built and compiled, with samples.

    Attributes:
        model: the copy.
        samples: what every side runs on.
        signature: the inputs; None where the model does not declare them.
        tolerance: what counts as equal.
        notes: what the report says of all this.
    """

    model: Any
    samples: Samples
    signature: Signature | None
    tolerance: Tolerance
    notes: list[str] = field(default_factory=list)

    def fresh(self) -> Any:
        """Return a copy of the copy, which a run may change."""
        return copy_of(self.model)


def copy_of(model: Any) -> Any:
    """Return a copy of a Keras model on this backend, with its optimizer and its losses.

    Raises:
        ArgumentError: it is no model, or cannot be saved and loaded.
    """
    import keras

    if not isinstance(model, keras.Model):
        raise ArgumentError(f"expected a keras.Model; received {type(model).__qualname__}")
    try:
        return archive.unpack(*archive.pack(model))
    except Exception as error:  # a class of the user's may raise anything as it is saved or loaded
        raise ArgumentError(
            f"model {model.name!r} cannot be saved and loaded, which a comparison needs: {brief(error)}"
        ) from error


def prepare(
    model: Any,
    x: Any,
    y: Any,
    tolerance: tuple[float | None, float | None],
    seed: int,
    trains: bool,
    sizes: Sizes | None = None,
) -> PreparedModel:
    """Return a model with what every side runs on.

    Args:
        model: a `keras.Model`; it is not changed.
        x: inputs as for `predict`; None for seeded samples.
        y: targets as for `fit`; None for seeded ones that the loss takes.
        tolerance: relative and absolute; None for what the model's dtypes call for.
        seed: of what is made up.
        trains: whether training steps will be compared.
        sizes: those of the dynamic axes of samples; None for whatever the model takes.

    Raises:
        ArgumentError: it is no model, or cannot be copied.
        ArgumentValueError: it is not built and there is no data, or the data does not fit the losses.
        SignatureError: names, number, shapes or dtypes of the data do not fit the model.
    """
    copy = copy_of(model)
    notes: list[str] = []
    if isinstance(x, str | Path):
        x, in_file = _from_file(copy, Path(x))
        y = in_file if y is None else y
    signature, arguments, inputs = _inputs(copy, x, seed, sizes)
    inputs = _cut(inputs, notes)
    predicted = _predicted(copy, arguments, inputs)
    targets = None
    if trains:
        _compile(copy, notes)
        targets = _targets(copy, arguments, inputs, predicted, y, seed)
        _note_training(copy, notes)
    return PreparedModel(
        copy,
        Samples(arguments, inputs, targets),
        signature,
        _tolerance(copy, *tolerance),
        notes,
    )


def _from_file(model: Any, path: Path) -> tuple[Any, Any]:
    try:
        names = [spec.name for spec in declaration_of(model).inputs] if model.built else ["x"]
    except ExportError:
        names = ["x"]
    x, y = read_samples(path, names)
    return (x[names[0]] if len(names) == 1 else x), y


def _inputs(
    model: Any, x: Any, seed: int, sizes: Sizes | None
) -> tuple[Signature | None, list[Any], list[Array]]:
    if x is not None and not model.built:
        structure, leaves = take_apart(x)
        arrays = [_as_array(leaf) for leaf in leaves]
        model(*put_together([structure], _as_tensors(arrays)))
    if not model.built:
        raise ArgumentValueError(
            f"model {model.name!r} is not built, so that its inputs are not known: pass x=, or build it first"
        )
    try:
        declared = declaration_of(model)
    except ExportError as error:
        if x is None:
            raise ArgumentValueError(f"the inputs of model {model.name!r} are not known: pass x=") from error
        structure, leaves = take_apart(x)
        return None, [structure], [_as_array(leaf) for leaf in leaves]
    signature = Signature(tuple(declared.inputs), (), declared.arguments, None)
    if x is not None:
        return signature, declared.arguments, _fitted(signature, x)
    sampler = Sampler.of(model, declared.tensors)
    return signature, declared.arguments, _sampled(model, signature, sampler, seed, sizes)


def _sampled(
    model: Any, signature: Signature, sampler: Sampler, seed: int, sizes: Sizes | None
) -> list[Array]:
    """Return samples of the shortest length that the model takes."""
    free = any(axis for spec in signature.inputs for axis in spec.dynamic)
    tries = [sizes] if sizes else [Sizes(BATCH, length) for length in (_LENGTHS if free else _LENGTHS[:1])]
    for one in tries:
        inputs = sampler.sample(signature.inputs, one, seed)
        try:
            model(*put_together(signature.arguments, _as_tensors(inputs)), training=False)
            return inputs
        except Exception as error:  # a model's call may raise anything
            failure = error
    raise ArgumentValueError(
        f"model {model.name!r} does not run on seeded samples of its inputs, so pass x=: {brief(failure)}"
    ) from failure


def _fitted(signature: Signature, x: Any) -> list[Array]:
    """Return a user's inputs in the dtypes of the signature; one error names all that do not fit."""
    values = [_as_array(value) for value in signature.flatten(x)]
    problems = [
        problem
        for spec, value in zip(signature.inputs, values, strict=True)
        if (problem := _problem(spec, value))
    ]
    lengths = {len(value) for value in values if value.ndim}
    if len(lengths) > 1:
        problems.append(f"the inputs have different batch sizes: {', '.join(map(str, sorted(lengths)))}")
    if problems:
        raise SignatureError(f"the data does not fit the model: {'; '.join(problems)}")
    return [
        value if spec.dtype == "string" else value.astype(numpy_dtype(spec.dtype))
        for spec, value in zip(signature.inputs, values, strict=True)
    ]


def _problem(spec: TensorSpec, value: Array) -> str | None:
    shape = spec.shape
    if shape is not None and (
        len(shape) != value.ndim
        or any(size not in (None, given) for size, given in zip(shape, value.shape, strict=True))
    ):
        return f"{spec} received shape {value.shape}"
    is_text = value.dtype.kind in "OSU"
    if is_text != (spec.dtype == "string"):
        return f"{spec} received {value.dtype}"
    if numpy_dtype(spec.dtype).kind in "iu" and value.dtype.kind not in "iub":
        return f"{spec} received {value.dtype}"
    return None


def _cut(inputs: list[Array], notes: list[str]) -> list[Array]:
    if inputs and inputs[0].ndim and len(inputs[0]) > LARGEST_BATCH:
        notes.append(f"of {len(inputs[0])} examples the first {LARGEST_BATCH} are compared")
        return [array[:LARGEST_BATCH] for array in inputs]
    return inputs


def _compile(model: Any, notes: list[str]) -> None:
    if not model.compiled:
        model.compile(optimizer="adam", loss="mse")
        notes.append("the model is not compiled: Adam (learning rate 0.001) and mean squared error train it")
    if (
        not model.optimizer.built
    ):  # or the copies of an optimizer without slots would be loaded with a warning
        model.optimizer.build(model.trainable_variables)


def _predicted(model: Any, arguments: list[Any], inputs: list[Array]) -> Any:
    try:
        return model(*put_together(arguments, _as_tensors(inputs)), training=False)
    except Exception as error:  # a model's call may raise anything
        raise ArgumentValueError(f"model {model.name!r} does not run on the data: {brief(error)}") from error


def _targets(model: Any, arguments: list[Any], inputs: list[Array], predicted: Any, y: Any, seed: int) -> Any:
    import keras

    targets = make_targets(model, predicted, seed) if y is None else _given_targets(y, len(inputs[0]))
    if targets is None or not model.trainable_variables:
        return None
    tensors = put_together(arguments, _as_tensors(inputs))
    try:
        model.compute_loss(
            x=tensors[0] if len(tensors) == 1 else tensors,
            y=keras.tree.map_structure(keras.ops.convert_to_tensor, targets),
            y_pred=predicted,
        )
    except Exception as error:  # a loss may raise anything
        if y is None:
            raise ArgumentValueError(
                f"no targets that the loss takes could be made up: pass y= ({brief(error)})"
            ) from error
        raise ArgumentValueError(f"y does not fit the model's outputs and loss: {brief(error)}") from error
    return targets


def _given_targets(y: Any, batch: int) -> Any:
    import keras

    return keras.tree.map_structure(lambda leaf: _as_array(leaf)[:batch], y)


def _note_training(model: Any, notes: list[str]) -> None:
    if not model.trainable_variables:
        notes.append("the model has no trainable weights: only the forward pass is compared")
        return
    draws = [part.path for part in walk(parts_of(model)) if part.draws]
    if draws:
        notes.append(
            f"random draws are off in the training steps, because backends draw other numbers: {', '.join(draws)}"
        )


def _tolerance(model: Any, rtol: float | None, atol: float | None) -> Tolerance:
    dtypes = {
        getattr(part.operation, "compute_dtype", None) for part in walk(parts_of(model)) if part.is_layer
    }
    coarsest = next((name for name in ("bfloat16", "float16", "float32", "float64") if name in dtypes), None)
    usual = TOLERANCES[coarsest or "float32"]
    return Tolerance(usual.rtol if rtol is None else rtol, usual.atol if atol is None else atol)


def _as_tensors(arrays: Sequence[Array]) -> list[Any]:
    import keras

    return [array if array.dtype == object else keras.ops.convert_to_tensor(array) for array in arrays]


def _as_array(value: Any) -> Array:
    for name, entry in backends.ENTRIES.items():
        if entry.framework in sys.modules and backends.load(name).is_tensor(value):
            return backends.load(name).to_numpy(value)
    return np.asarray(value)
