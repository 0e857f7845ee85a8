"""The batches of a benchmark: rows of the user's data, or seeded samples of what the model declares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from unikeras._keras.discovery import Declaration, declaration_of
from unikeras._keras.samples import Array, Sampler, Sizes
from unikeras._specs.signature import Signature, TensorSpec, numpy_dtype
from unikeras._specs.structure import put_together
from unikeras.compare._benchmark_request import Problems
from unikeras.errors import SignatureError

# What a dynamic axis other than the batch is in a sample.
LENGTH = 32


@dataclass(frozen=True)
class Data:
    """Where batches come from.

    Attributes:
        model: the model that takes them.
        declaration: what it declares.
        inputs: the user's arrays, flat; None to make them up.
        targets: the user's targets as they came; None to make them up where the model's outputs are known.
    """

    model: Any
    declaration: Declaration
    inputs: list[Array] | None
    targets: Any

    @property
    def fixed_batch(self) -> int | None:
        """The model's fixed batch size, or None where it is dynamic."""
        return _signature(self.declaration).batch

    def batch(self, size: int) -> tuple[Any, Any]:
        """Return x, in the model's own structure, and the targets y of one batch; None for made-up targets."""
        import keras

        if self.inputs is None:
            sampler = Sampler.of(self.model, self.declaration.tensors)
            arrays = sampler.sample(self.declaration.inputs, Sizes(size, LENGTH), seed=0)
        else:
            arrays = [_rows(array, size) for array in self.inputs]
        x = put_together(self.declaration.arguments, arrays)[0]
        if self.targets is None:
            return x, None
        return x, keras.tree.map_structure(lambda array: _rows(np.asarray(array), size), self.targets)


def _rows(array: Array, size: int) -> Array:
    """Return as many rows of an array, from its beginning again where it has too few."""
    return array[np.arange(size) % len(array)]


def data_of(model: Any, x: Any, y: Any, problems: Problems) -> Data | None:
    """Return a model's data after a check of its shapes; None, and a problem noted, where there can be none."""
    declaration = problems.check(declaration_of, model)
    if declaration is None:
        return None
    if len(declaration.arguments) != 1:
        problems.add(
            f"call() of {model.name!r} takes {len(declaration.arguments)} arguments; train and predict pass one"
        )
    inputs = None if x is None else _checked_inputs(declaration, x, problems)
    if y is not None:
        _check_targets(model, y, None if not inputs else len(inputs[0]), x is None, problems)
    return Data(model, declaration, inputs, y)


def _signature(declaration: Declaration) -> Signature:
    return Signature(tuple(declaration.inputs), (), declaration.arguments, [])


def _checked_inputs(declaration: Declaration, x: Any, problems: Problems) -> list[Array] | None:
    try:
        flat = _signature(declaration).flatten(x)
    except SignatureError as error:
        problems.add(f"x does not fit the model: {error}")
        return None
    arrays = [np.asarray(value) for value in flat]
    wrong = [
        f"input {spec.name!r} takes {spec.dtype} {_shape(spec)}; x has {array.dtype} {array.shape}"
        for spec, array in zip(declaration.inputs, arrays, strict=True)
        if not _fits(spec, array)
    ]
    counts = sorted({len(array) for array in arrays if array.ndim})
    if not wrong and len(counts) > 1:
        wrong = [f"the inputs in x differ in their number of rows: {', '.join(map(str, counts))}"]
    for text in wrong:
        problems.add(text)
    if wrong:
        return None
    return [
        array if spec.dtype == "string" else array.astype(numpy_dtype(spec.dtype))
        for spec, array in zip(declaration.inputs, arrays, strict=True)
    ]


def _fits(spec: TensorSpec, array: Array) -> bool:
    shape = spec.shape or (None,) * array.ndim
    sizes = zip(shape[1:], array.shape[1:], strict=False)
    return (
        len(shape) == array.ndim > 0 and len(array) > 0 and all(size in (None, came) for size, came in sizes)
    )


def _shape(spec: TensorSpec) -> str:
    return f"({', '.join(str(size) for size in spec.shape or ())})"


def _check_targets(model: Any, y: Any, rows: int | None, made_up: bool, problems: Problems) -> None:
    import keras

    if made_up:
        problems.add("y came without x; pass both, or neither for made-up data")
    arrays = [np.asarray(value) for value in keras.tree.flatten(y)]
    counts = sorted({len(array) if array.ndim else 0 for array in arrays})
    if rows is not None and counts != [rows]:
        problems.add(f"x has {rows} rows and y has {', '.join(map(str, counts))}")
    outputs = getattr(model, "outputs", None) or []
    if len(outputs) == len(arrays) == 1 and not _may_be_target(tuple(outputs[0].shape), arrays[0].shape):
        problems.add(
            f"the model's output is {tuple(outputs[0].shape)}; y has {arrays[0].shape}, "
            "which are neither its values nor class numbers"
        )


def _may_be_target(output: tuple[int | None, ...], target: tuple[int, ...]) -> bool:
    """Say whether targets of this shape can be values of an output, or the numbers of its classes."""
    wanted, came = output[1:], target[1:]
    shapes = [wanted, wanted[:-1], (*wanted[:-1], 1)]
    return any(
        len(shape) == len(came)
        and all(size in (None, other) for size, other in zip(shape, came, strict=True))
        for shape in shapes
    )


def default_loss(y: Any, outputs: Any) -> str:
    """Return the name of a loss for a model that has none: one of class numbers where the targets are such."""
    targets, tensors = np.asarray(y) if y is not None else None, outputs or []
    if targets is None or targets.dtype.kind not in "iu" or len(tensors) != 1:
        return "mean_squared_error"
    is_values = targets.shape[1:] == tuple(tensors[0].shape)[1:]
    return "mean_squared_error" if is_values else "sparse_categorical_crossentropy"


def targets_for(loss: Any, outputs: Any) -> Any:
    """Return made-up targets that a loss takes for a model's outputs, in their structure.

    Args:
        loss: what the model was compiled with: a name, a loss, or a list or dict of them.
        outputs: numpy arrays, each of shape (batch, ...).
    """
    if isinstance(outputs, dict):
        return {
            key: targets_for(loss.get(key) if isinstance(loss, dict) else loss, value)
            for key, value in outputs.items()
        }
    if isinstance(outputs, list | tuple):
        losses = loss if isinstance(loss, list | tuple) else [loss] * len(outputs)
        return [targets_for(one, value) for one, value in zip(losses, outputs, strict=True)]
    name = loss if isinstance(loss, str) else getattr(loss, "__name__", type(loss).__name__)
    return _target(name.lower(), np.asarray(outputs))


def _target(name: str, output: Array) -> Array:
    rng = np.random.default_rng(0)
    if "sparse" in name:
        return rng.integers(0, output.shape[-1], output.shape[:-1])
    if "binary" in name:
        return rng.integers(0, 2, output.shape).astype("float32")
    if "categorical" in name:
        return np.eye(output.shape[-1], dtype="float32")[rng.integers(0, output.shape[-1], output.shape[:-1])]
    return np.asarray(rng.random(output.shape), "float32")
