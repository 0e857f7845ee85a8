"""What the zoo says of a module."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Axes of one input that are dynamic, each with a name; axes of one name have one size.
Axes = Mapping[int, str]
BATCH: Axes = {0: "batch"}
SEQUENCE: Axes = {0: "batch", 1: "length"}


@dataclass(frozen=True)
class ZooModel:
    """A module and inputs of any batch and length.

    Attributes:
        build: makes the module; it draws weights from torch's generator.
        inputs: takes a batch and a length and draws the module's positional arguments.
        dynamic: the dynamic axes of each argument.
        is_random: whether train mode draws numbers, so that only eval mode can be compared.
        tolerance: relative, of outputs; larger where a module computes in half precision.
        gradients: relative, of gradients, where nothing is computed in half precision.
        formats: those that the module must leave in; fewer where a format lacks an operator.
    """

    build: Callable[[], Any]
    inputs: Callable[[int, int], tuple[Any, ...]]
    dynamic: Sequence[Any] = (BATCH,)
    is_random: bool = False
    tolerance: float = 2e-5
    gradients: float = 1e-5
    formats: tuple[str, ...] = ("saved_model", "litert")

    @property
    def is_half(self) -> bool:
        """Whether it computes in half precision."""
        return self.tolerance > 1e-3


def images(size: int, channels: int = 3) -> Callable[[int, int], tuple[Any, ...]]:
    """Return a function that draws a batch of images."""
    import torch

    return lambda batch, length: (torch.randn(batch, channels, size, size),)


def vectors(*sizes: int) -> Callable[[int, int], tuple[Any, ...]]:
    """Return a function that draws a batch of arrays."""
    import torch

    return lambda batch, length: (torch.randn(batch, *sizes),)


def series(features: int) -> Callable[[int, int], tuple[Any, ...]]:
    """Return a function that draws a batch of sequences of vectors."""
    import torch

    return lambda batch, length: (torch.randn(batch, length, features),)
