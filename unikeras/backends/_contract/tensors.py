"""What a native tensor is, what it is made of, and where it lives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Composite:
    """How to rebuild a tensor that consists of others, such as a sparse one, or an object registered as a tree.

    Attributes:
        kind: what the framework knows of it besides its parts; tensors of equal kinds share programs.
        count: the number of parts.
        join: takes the kind and the parts, returns the tensor or object.
    """

    kind: Hashable
    count: int
    join: Callable[[Any, Sequence[Any]], Any]


class Tensors(ABC):
    """The tensors and devices of a framework.

    Attributes:
        resize_rounds_integers: whether Keras' compiled resizing rounds integer images to integers; else it takes them
            for floats from there on.
    """

    resize_rounds_integers: bool = True

    @abstractmethod
    def devices(self) -> list[str]:
        """Return the names of the devices that the framework can compute on.

        Returns:
            Names as `device_of` has them; the CPU is among them.
        """

    @abstractmethod
    def device_of(self, tensor: Any) -> str | None:
        """Return the name of the device that holds a tensor.

        Args:
            tensor: a native tensor, or what a Keras variable has as `_value`.

        Returns:
            The kind and the number, such as `"cpu:0"` or `"gpu:1"`; None where it is spread over several devices.
        """

    def keras_device(self, name: str) -> str:
        """Return how `keras.device` takes a device.

        Args:
            name: one of `devices()`.
        """
        return name

    def peak_memory(self, device: str) -> int | None:
        """Return how many bytes of a device's own memory were in use at most.

        Args:
            device: one of `devices()`.

        Returns:
            The peak since the process began; None where the device uses the host's memory, or nobody counts.
        """
        return None

    @abstractmethod
    def is_tensor(self, value: Any) -> bool:
        """Say whether a value is a native tensor of this framework.

        Args:
            value: any object; a Keras variable is no tensor.
        """

    @abstractmethod
    def is_symbolic(self, value: Any) -> bool:
        """Say whether a value is a tensor without numbers, as tensors are while a function is traced.

        Args:
            value: any object.
        """

    def flatten_composite(self, value: Any) -> tuple[Composite, list[Any]] | None:
        """Take a sparse or ragged tensor apart.

        Args:
            value: any object.

        Returns:
            How to rebuild it, and the native tensors it consists of; None for anything but such a tensor.
        """
        return None

    def children(self, value: Any) -> tuple[Composite, list[Any]] | None:
        """Take an object apart whose class is registered with this framework as a tree.

        Args:
            value: any object.

        Returns:
            How to rebuild it, and its children, which may be anything, also other trees; None for any other object.
        """
        return None

    @abstractmethod
    def to_native(self, array: Any) -> Any:
        """Return an array in the form in which a program takes it.

        Args:
            array: a numpy array, or a Python number.

        Returns:
            The array itself, or a native tensor with its shape, dtype and values.
        """

    @abstractmethod
    def to_numpy(self, tensor: Any) -> np.ndarray[Any, Any]:
        """Copy the values of a tensor to the host.

        Args:
            tensor: a native tensor on any device, of any dtype, with or without a gradient.

        Returns:
            A numpy array of the same shape and dtype.
        """

    @abstractmethod
    def synchronize(self, *values: Any) -> None:
        """Wait until tensors are computed, so that a clock that is read next measures the computation.

        Args:
            *values: native tensors of any shape and dtype.
        """
