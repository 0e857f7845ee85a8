"""What a model, or an artifact, takes and gives: names, shapes, dtypes, and how they are nested."""

from __future__ import annotations

import contextlib
import keyword
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unikeras._specs.structure import leaves_as, put_together
from unikeras.errors import SignatureError

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class TensorSpec:
    """One input or output.

    Attributes:
        name: the model's own name for it.
        shape: None stands for a dynamic axis, and for the whole shape where nothing is known.
        dtype: such as `"float32"`; None where it is not known.
        axes: a name for each dynamic axis, such as `"batch"`, in their order; empty where none is known.

    Example:
        >>> str(TensorSpec("x", (None, 4), "float32", ("batch",)))
        'x: float32 (None, 4)'
    """

    name: str
    shape: tuple[int | None, ...] | None
    dtype: str | None
    axes: tuple[str, ...] = ()

    def __str__(self) -> str:
        shape = "?" if self.shape is None else f"({', '.join(str(size or 'None') for size in self.shape)})"
        return f"{self.name}: {self.dtype or '?'} {shape}"

    @property
    def dynamic(self) -> dict[int, str]:
        """The dynamic axes: their positions and names.

        Example:
            >>> TensorSpec("x", (None, None, 2), "float32", ("batch", "time")).dynamic
            {0: 'batch', 1: 'time'}
            >>> TensorSpec("x", (None, 2), "float32").dynamic
            {0: 'x_0'}
        """
        positions = [axis for axis, size in enumerate(self.shape or ()) if size is None]
        return dict(zip(positions, self.axes or [f"{self.name}_{axis}" for axis in positions], strict=True))


@dataclass(frozen=True)
class Signature:
    """Inputs and outputs in order, and the structures in which a call passes and returns them.

    Attributes:
        inputs: the inputs.
        outputs: the outputs.
        arguments: the positional arguments of a call, nested, with numbers of inputs as leaves.
        results: what a call returns, nested, with numbers of outputs as leaves.
        length: a size that the first dynamic axis after the batch is known to take, in every input.
        stretch: how many times that size the dynamic axes after it are.
        apart: how much longer each input is than the one before it.

    Example:
        >>> x, y = TensorSpec("x", (None, 4), "float32"), TensorSpec("y", (None, 2), "float32")
        >>> str(Signature((x,), (y,), arguments=[0], results=0))
        '(x: float32 (None, 4)) -> (y: float32 (None, 2))'
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    arguments: list[Any]
    results: Any
    length: int = 8
    stretch: int = 1
    apart: int = 0

    def __str__(self) -> str:
        return f"({', '.join(map(str, self.inputs))}) -> ({', '.join(map(str, self.outputs))})"

    @property
    def input_names(self) -> list[str]:
        """The inputs' names, in order."""
        return [spec.name for spec in self.inputs]

    @property
    def output_names(self) -> list[str]:
        """The outputs' names, in order."""
        return [spec.name for spec in self.outputs]

    @property
    def identifiers(self) -> list[str]:
        """The inputs' names as distinct identifiers, for formats that make parameters of them.

        Example:
            >>> spec = TensorSpec("my input", (None, 2), "float32")
            >>> Signature((spec,), (), [0], []).identifiers
            ['my_input']
        """
        return unique(_identifier(name) for name in self.input_names)

    @property
    def batch(self) -> int | None:
        """The fixed batch size, or None where it is dynamic."""
        sizes = {spec.shape[0] for spec in self.inputs if spec.shape}
        return next((size for size in sizes if size is not None), None)

    def call(self, model: Any, tensors: Sequence[Any]) -> list[Any]:
        """Run a Keras model in inference mode on flat inputs and return its flat outputs.

        This is the function that every exporter writes. Outputs are cast to the signature's dtypes: a
        model that was moved to another backend may compute its integers in another width there.

        Args:
            model: a Keras model.
            tensors: one tensor for each input, of the input's shape and dtype.

        Returns:
            One tensor for each output, of the output's shape and dtype.
        """
        import keras

        result = model(*put_together(self.arguments, tensors), training=False)
        return [
            keras.ops.cast(output, spec.dtype) if _dtype_of(output) != spec.dtype else output
            for output, spec in zip(leaves_as(self.results, result), self.outputs, strict=True)
        ]

    def flatten(self, x: Any) -> list[Any]:
        """Return the inputs in order from what a caller passes to `predict`.

        Args:
            x: an array; a list or tuple in the order of the inputs; a dict by input name; or the
                model's own nested structure.

        Returns:
            One array for each input, in the order of the inputs.

        Raises:
            SignatureError: names or number do not fit.
        """
        named = isinstance(x, Mapping)
        if named and set(x) == set(self.input_names):
            return [x[name] for name in self.input_names]
        if len(self.inputs) == 1 and not named:
            wrapped = isinstance(x, list | tuple) and len(x) == 1 and hasattr(x[0], "shape")
            return [x[0] if wrapped else x]
        structure = self.arguments[0] if len(self.arguments) == 1 else self.arguments
        if structure != list(range(len(self.inputs))):
            with contextlib.suppress(ValueError):
                return leaves_as(structure, x)
        if isinstance(x, list | tuple) and len(x) == len(self.inputs):
            return list(x)
        came = (
            f"names {', '.join(map(str, x))}" if named else f"{len(x)} of them" if _with_sizes(x) else repr(x)
        )
        raise SignatureError(f"expected the inputs {', '.join(self.input_names)}; received {came}")

    def to_dict(self) -> dict[str, Any]:
        """Return the signature as data for JSON.

        Returns:
            Dicts, lists, strings and numbers only.
        """
        sides = {side: [_to_dict(spec) for spec in getattr(self, side)] for side in ("inputs", "outputs")}
        sizes = {"length": self.length, "stretch": self.stretch, "apart": self.apart}
        return {**sides, "arguments": self.arguments, "results": self.results, **sizes}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Signature:
        """Return the signature that `to_dict` made this from.

        Args:
            data: what `to_dict` returned.

        Returns:
            The signature.
        """
        inputs, outputs = (tuple(_from_dict(one) for one in data[side]) for side in ("inputs", "outputs"))
        sizes = data.get("length", 8), data.get("stretch", 1), data.get("apart", 0)
        return cls(inputs, outputs, data["arguments"], data["results"], *sizes)


def unique(names: Iterable[str]) -> list[str]:
    """Return the names with `_1`, `_2` ... added to those that came before.

    Example:
        >>> unique(["y", "y", "x"])
        ['y', 'y_1', 'x']
    """
    taken: list[str] = []
    for name in names:
        number, candidate = 0, name
        while candidate in taken:
            number += 1
            candidate = f"{name}_{number}"
        taken.append(candidate)
    return taken


def _identifier(name: str) -> str:
    plain = re.sub(r"\W", "_", name, flags=re.ASCII)
    if not plain[:1].isalpha():
        plain = f"x{plain}"
    return f"{plain}_" if keyword.iskeyword(plain) or plain == "self" else plain


def _with_sizes(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _dtype_of(tensor: Any) -> str:
    import keras

    return str(keras.backend.standardize_dtype(tensor.dtype))


def numpy_dtype(name: str | None) -> np.dtype[Any]:
    """Return numpy's dtype of this name, `"bfloat16"` too, which numpy knows only through a library."""
    import numpy as np

    if name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(object if name == "string" else name or "float32")


def _to_dict(spec: TensorSpec) -> dict[str, Any]:
    shape = None if spec.shape is None else list(spec.shape)
    return {"name": spec.name, "shape": shape, "dtype": spec.dtype, "axes": list(spec.axes)}


def _from_dict(data: Mapping[str, Any]) -> TensorSpec:
    shape = None if data["shape"] is None else tuple(data["shape"])
    return TensorSpec(data["name"], shape, data["dtype"], tuple(data.get("axes", ())))
