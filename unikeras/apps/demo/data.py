"""The data sets that the demo knows, and its batches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from unikeras.apps.demo import fetched, folders
from unikeras.apps.demo.dataset import Array, Dataset, Split, divide

NETWORK = ("mnist", "fashion_mnist", "cifar10")  # downloaded at first use
NAMES = ("digits", *NETWORK)
GOAL = 0.97  # of the digits; the demo's network reaches 99 % in 10 epochs
EXAMPLE = (
    "from sklearn.datasets import load_digits",
    'load_digits().images[:5, :, :, None].astype("float32") / 16',
)


def digits() -> Dataset:
    """Return the 1,797 handwritten digits, 8 x 8, that scikit-learn ships."""
    from sklearn.datasets import load_digits

    raw = load_digits()
    images = Split(raw.images[..., None].astype("uint8"), raw.target.astype("int32"))
    divided = divide("digits", tuple(map(str, raw.target_names)), 16, images)
    return replace(divided, goal=GOAL, example=EXAMPLE)


def batch_size(count: int) -> int:
    """Return the batch size for `count` training images."""
    return min(count, 32 if count < 5_000 else 128)


def batches(count: int, size: int, seed: int) -> list[Array]:
    """Return the positions of each batch of one epoch, shuffled by a seed.

    An incomplete last batch is dropped: all batches have one shape, so a step is compiled once.
    """
    order = np.random.default_rng(seed).permutation(count)
    return [order[start : start + size] for start in range(0, count - size + 1, size)]


def load(dataset: str, folder: Path | None) -> Dataset:
    """Load the data of a run.

    Args:
        dataset: one of `NAMES`.
        folder: a folder of images, one subfolder per class; replaces `dataset` if given.

    Raises:
        DatasetError: the folder or the data set cannot be read, or is unsuitable for training.
    """
    if folder is not None:
        return folders.read(folder)
    return digits() if dataset == "digits" else fetched.fetch(dataset)
