"""The data sets that `uk.data.load` downloads."""

from __future__ import annotations

import numpy as np

import unikeras as uk
from unikeras.apps.demo.dataset import Dataset, Split, divide
from unikeras.errors import DatasetError


def fetch(name: str) -> Dataset:
    """Load a data set by its name; its test part remains the test part.

    Args:
        name: "mnist", "fashion_mnist" or "cifar10".

    Raises:
        DatasetError: it is not on disk and cannot be downloaded.
    """
    try:
        sources = uk.data.load(name)
    except DatasetError as error:
        raise DatasetError(
            f"cannot load {name}, which is downloaded at its first use: {error.__cause__ or error}; "
            "--dataset digits needs no network"
        ) from error
    train, test = (_arrays(source) for source in sources)
    return divide(name, sources[0].classes or (), 255, train, test)


def _arrays(source: uk.data.Source) -> Split:
    images, labels = zip(*(source[number] for number in range(len(source))), strict=True)
    return Split(np.stack(images), np.stack(labels))
