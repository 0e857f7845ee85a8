"""The data sets that keras.datasets downloads, loaded in a worker."""

from __future__ import annotations

import contextlib
import socket
import sys

import unikeras as uk
from unikeras.apps.demo.dataset import Array, Dataset, Split, divide
from unikeras.apps.demo.silence import silence
from unikeras.errors import DatasetError, WorkerError

FASHION = (
    "T-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
OBJECTS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CLASSES = {"mnist": tuple("0123456789"), "fashion_mnist": FASHION, "cifar10": OBJECTS}
PATIENCE = 20.0  # seconds without data before a download fails


def fetch(name: str, backend: str) -> Dataset:
    """Load one of keras.datasets; its test part remains the test part.

    Args:
        name: a key of `CLASSES`.
        backend: the backend of the worker: keras is not imported in this process.

    Raises:
        DatasetError: it is not on disk and cannot be downloaded.
    """
    try:
        parts = uk.run_on(backend, arrays, name)
    except WorkerError as error:
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise DatasetError(
            f"cannot load {name}, which keras.datasets downloads at its first use: {reason}; "
            "--dataset digits needs no network"
        ) from error
    train, test = (Split(images, labels) for images, labels in parts)
    return divide(name, CLASSES[name], 255, train, test)


def arrays(name: str) -> list[tuple[Array, Array]]:
    """Return (images, labels) of the training and the test part, as `Split` has them; runs in a worker."""
    with silence():
        import keras

    socket.setdefaulttimeout(PATIENCE)
    # Keras prints the download's progress to stdout, where the report goes.
    with contextlib.redirect_stdout(sys.stderr):
        parts = getattr(keras.datasets, name).load_data()
    return [
        (images.reshape(*images.shape[:3], -1), labels.reshape(-1).astype("int32"))
        for images, labels in parts
    ]
