"""A data set in three parts, divided once by a seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

SEED = 7
TEST, VALIDATION = 0.2, 0.125  # of all images; of the remaining ones

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Split:
    """Images of shape (count, height, width, channels), uint8, and their class numbers (count,), int32."""

    images: Array
    labels: Array

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: Array) -> Split:
        """Return the images and labels at these positions."""
        return Split(self.images[index], self.labels[index])


@dataclass(frozen=True)
class Dataset:
    """Images in three disjoint parts.

    Attributes:
        name: its name in the report.
        classes: the classes' names, by number.
        peak: the largest value of a pixel; a model sees `images / peak`.
        train: what the weights are fitted to.
        validation: what chooses the best checkpoint.
        test: what is only ever measured.
        goal: the test accuracy that the default number of epochs must reach; None for no goal.
        example: an import, and an expression for five images as a model sees them, to show how to go on.
    """

    name: str
    classes: tuple[str, ...]
    peak: int
    train: Split
    validation: Split
    test: Split
    goal: float | None = None
    example: tuple[str, str] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one image: (height, width, channels)."""
        return self.train.images.shape[1:]

    def pixels(self, images: Array) -> Array:
        """Return images as a model sees them: float32 from 0 to 1."""
        return images.astype("float32") / np.float32(self.peak)


def hold_out(labels: Array, fraction: float, seed: int = SEED) -> tuple[Array, Array]:
    """Divide positions into those that stay and those held out, the same share of every class.

    scikit-learn's stratified split fails if fewer images than classes are held out, and may hold out none of a
    small class; a folder of few images needs both.

    Args:
        labels: class numbers, (count,).
        fraction: the share of each class to hold out; at least one image of every class.
        seed: of the random choice.

    Returns:
        (positions that stay, positions held out), each in ascending order.
    """
    random = np.random.default_rng(seed)
    held = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        held[members[: max(1, round(fraction * len(members)))]] = True
    return np.flatnonzero(~held), np.flatnonzero(held)


def divide(
    name: str, classes: tuple[str, ...], peak: int, images: Split, test: Split | None = None
) -> Dataset:
    """Make a data set: hold out a test part unless one is given, and a validation part of the rest."""
    if test is None:
        rest, held = hold_out(images.labels, TEST)
        images, test = images.take(rest), images.take(held)
    rest, held = hold_out(images.labels, VALIDATION)
    return Dataset(name, classes, peak, images.take(rest), images.take(held), test)
