"""What a rule says of a layer: which tensors of a torch module hold the numbers of which Keras variables."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Link:
    """Tensors of a torch module that hold the same numbers as variables of a Keras layer.

    Attributes:
        tensors: the shapes that each tensor may have, by its name in the module; the first is the one that is written.
        variables: the Keras variables.
        load: takes the tensors and returns the values of the variables, both in order.
        dump: takes the values of the variables and returns the tensors.
    """

    tensors: dict[str, tuple[Shape, ...]]
    variables: tuple[Any, ...]
    load: Callable[..., Sequence[Array]]
    dump: Callable[..., Sequence[Array]]

    @classmethod
    def of_one(
        cls,
        name: str,
        shape: Shape,
        variable: Any,
        load: Callable[[Array], Array] = lambda tensor: tensor,
        dump: Callable[[Array], Array] = lambda value: value,
    ) -> Link:
        """Return the link of one tensor and one variable; without functions they are equal."""
        return cls({name: (shape,)}, (variable,), lambda t: [load(t)], lambda v: [dump(v)])


@dataclass(frozen=True, eq=False)
class Unit:
    """The smallest part of a model that is matched with one module of torch.

    Attributes:
        path: the layer's names, from the model on, joined by `/`.
        kind: the class of torch that it stands for, or `"parameter"`.
        layer: the Keras layer.
        links: its weights.
        constants: tensors that the module may have and the layer does not: the value that they must hold.
        ignored: tensors that the layer has no use for, and what is written for them.
        follows: the path of the unit whose output is its input, with nothing between them that mixes features.
        refusal: why its weights cannot be exchanged; "" where they can.
        notes: what to know of its weights.
    """

    path: str
    kind: str
    layer: Any
    links: tuple[Link, ...] = ()
    constants: Mapping[str, tuple[Shape, float]] = field(default_factory=dict)
    ignored: Mapping[str, Array] = field(default_factory=dict)
    follows: str = ""
    refusal: str = ""
    notes: tuple[str, ...] = ()

    @property
    def shapes(self) -> dict[str, tuple[Shape, ...]]:
        """The shapes that each of its tensors may have."""
        return {name: shapes for link in self.links for name, shapes in link.tensors.items()}

    @property
    def variables(self) -> list[Any]:
        """Its Keras variables."""
        return [variable for link in self.links for variable in link.variables]

    @property
    def is_named(self) -> bool:
        """Whether somebody has named it: Keras' own names, such as `dense_1`, say nothing of torch's."""
        kind = type(self.layer).__name__
        automatic = re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", kind)).lower()
        return re.fullmatch(rf"{automatic}(_\d+)?", self.path.rpartition("/")[2]) is None

    def accepts(self, tensors: Mapping[str, Array]) -> bool:
        """Say whether the tensors of a torch module fit, by names and shapes."""
        wanted = self.shapes
        rest = tensors.keys() - wanted.keys() - self.ignored.keys()
        return (
            not self.refusal
            and all(name in tensors and tensors[name].shape in shapes for name, shapes in wanted.items())
            and all(
                name in self.constants and tensors[name].shape == self.constants[name][0] for name in rest
            )
        )

    def __str__(self) -> str:
        takes = ", ".join(f"{name} {shapes[0]}" for name, shapes in self.shapes.items())
        return f"{self.path} ({self.kind}): {takes}"


@dataclass
class Place:
    """A layer with weights, and where it stands.

    Attributes:
        path: its names, from the model on, joined by `/`.
        layer: the layer.
        follows: the path of the layer whose features it takes as they were made.
        axes: for each axis of its input, which axis it is in torch, both without the batch; None: all are the same.
        order_in: for each feature of its input, which feature it is in torch; None: all are the same.
        order_out: the same for its output.
        input_shape: that of its input, without the batch; None where it is not known.
    """

    path: str
    layer: Any
    follows: str = ""
    axes: tuple[int, ...] | None = None
    order_in: Array | None = None
    order_out: Array | None = None
    input_shape: tuple[int | None, ...] | None = None


Rule = Callable[[Place], list[Unit]]


def reordered(array: Array, order: Array | None, axis: int = 0) -> Array:
    """Return a tensor of torch with an axis in the order of Keras.

    Args:
        array: the tensor.
        order: for each feature of Keras, which feature it is in torch; None: all are the same.
        axis: which axis.

    Example:
        >>> reordered(np.array([10, 20, 30]), np.array([2, 0, 1])).tolist()
        [30, 10, 20]
    """
    return array if order is None else array.take(order, axis)


def restored(array: Array, order: Array | None, axis: int = 0) -> Array:
    """Return what `reordered` was given.

    Example:
        >>> restored(np.array([30, 10, 20]), np.array([2, 0, 1])).tolist()
        [10, 20, 30]
    """
    return array if order is None else array.take(np.argsort(order), axis)


def changed_kernel(layer: Any) -> str:
    """Say why the weights of a layer are not plain kernels, or return nothing."""
    if getattr(layer, "quantization_mode", None):
        return f"is quantized ({layer.quantization_mode})"
    return "has LoRA enabled" if getattr(layer, "lora_enabled", False) else ""
