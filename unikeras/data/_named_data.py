"""Data sets that are known by a name."""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unikeras._base.optional import require
from unikeras.data._data_source import Source
from unikeras.data._downloads import RemoteFile, data_folder, fetch
from unikeras.data._made_sources import source_of
from unikeras.data._origins import Arrays
from unikeras.errors import ArgumentError, ArgumentValueError, DatasetError

Pairs = Sequence[tuple[np.ndarray, np.ndarray]]

_DIGITS = tuple("0123456789")
_FASHION = (
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
_OBJECTS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_TF = "https://storage.googleapis.com/tensorflow/tf-keras-datasets"


@dataclass(frozen=True)
class NamedData:
    """A data set.

    Attributes:
        classes: the names of its classes.
        files: what is downloaded; nothing for a set that a library brings.
        read: returns (pictures, labels) of the training part and the test part, from the paths of the files.
    """

    classes: tuple[str, ...]
    files: tuple[RemoteFile, ...]
    read: Callable[[Sequence[Path]], Pairs]


def _read_digits(paths: Sequence[Path]) -> Pairs:
    raw = require("sklearn.datasets", "demo", "uk.data.load('digits')").load_digits()
    return [(np.rint(raw.images * (255 / 16)).astype(np.uint8), raw.target)]


def _read_npz(paths: Sequence[Path]) -> Pairs:
    with np.load(paths[0], allow_pickle=False) as parts:
        return [(parts[f"x_{part}"], parts[f"y_{part}"]) for part in ("train", "test")]


def _read_idx(paths: Sequence[Path]) -> Pairs:
    arrays = []
    for path in paths:
        data = gzip.decompress(path.read_bytes())
        # The last byte of the first four is the number of axes; a size of four bytes follows for each.
        shape = np.frombuffer(data, ">i4", count=data[3], offset=4)
        arrays.append(np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(shape))
    return [(arrays[0], arrays[1]), (arrays[2], arrays[3])]


def _read_cifar(paths: Sequence[Path]) -> Pairs:
    with tarfile.open(paths[0]) as archive:

        def rows(name: str) -> np.ndarray:
            member: Any = archive.extractfile(f"cifar-10-batches-bin/{name}.bin")
            return np.frombuffer(member.read(), np.uint8).reshape(-1, 1 + 3 * 32 * 32)

        train = np.concatenate([rows(f"data_batch_{number}") for number in range(1, 6)])
        parts = [train, rows("test_batch")]
    return [(part[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), part[:, 0]) for part in parts]


def _fashion(name: str, size: int, sha256: str) -> RemoteFile:
    return RemoteFile(f"fashion-mnist/{name}", f"{_TF}/{name}", size, sha256)


DATA: dict[str, NamedData] = {
    "cifar10": NamedData(
        _OBJECTS,
        (
            RemoteFile(
                "cifar-10-binary.tar.gz",  # the form without pickles
                "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
                170_052_171,
                "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            ),
        ),
        _read_cifar,
    ),
    "digits": NamedData(_DIGITS, (), _read_digits),
    "fashion_mnist": NamedData(
        _FASHION,
        (
            _fashion(
                "train-images-idx3-ubyte.gz",
                26_421_880,
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            ),
            _fashion(
                "train-labels-idx1-ubyte.gz",
                29_515,
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            ),
            _fashion(
                "t10k-images-idx3-ubyte.gz",
                4_422_102,
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            ),
            _fashion(
                "t10k-labels-idx1-ubyte.gz",
                5_148,
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            ),
        ),
        _read_idx,
    ),
    "mnist": NamedData(
        _DIGITS,
        (
            RemoteFile(
                "mnist.npz",
                f"{_TF}/mnist.npz",
                11_490_434,
                "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
            ),
        ),
        _read_npz,
    ),
}


def load(name: str, *, folder: Any = None, mirror: str | None = None) -> tuple[Source, Source]:
    """Return the training part and the test part of a data set that is known by its name.

    Args:
        name: "cifar10", "fashion_mnist" or "mnist", which are downloaded at first use; or "digits", which needs no
            network: scikit-learn brings it.
        folder: where downloads are kept; None for Keras' folder, `~/.keras/datasets`.
        mirror: the URL of a folder that has the files, where their own address cannot be reached.

    Returns:
        Two sources of (x, y): x is uint8 from 0 to 255, shape (height, width, channels); y is int32, the number of the
        class. Their `classes` are the names. A fifth of "digits" is the test part.

    Raises:
        ArgumentError: an argument is of a wrong type.
        ArgumentValueError: there is no data set of this name.
        DatasetError: it cannot be downloaded, or what came is damaged.
        MissingDependency: scikit-learn is not installed.

    Source: keras.datasets.

    Example:
        >>> import unikeras as uk
        >>> train, test = uk.data.load("digits")
        >>> len(train), len(test), train[0][0].shape, train.classes[3]
        (1438, 359, (8, 8, 1), '3')
    """
    if not isinstance(name, str):
        raise ArgumentError(f"load takes the name of a data set; received {name!r:.60}")
    if name not in DATA:
        raise ArgumentValueError(f"there is no data set {name!r}; there are {', '.join(sorted(DATA))}")
    if mirror is not None and not isinstance(mirror, str):
        raise ArgumentError(f"mirror has to be a URL; received {mirror!r:.60}")
    data = DATA[name]
    parts = [_source(name, data, *part) for part in _read(name, data, folder, mirror)]
    return (parts[0], parts[1]) if len(parts) == 2 else parts[0].split(0.8, stratify=True)


def _read(name: str, data: NamedData, folder: Any, mirror: str | None) -> Pairs:
    try:
        paths = [fetch(file, Path(folder or data_folder()), mirror) for file in data.files]
    except DatasetError as error:
        offline = ", ".join(repr(one) for one, other in sorted(DATA.items()) if not other.files)
        raise DatasetError(f"cannot load {name!r}: {error}. What needs no network: {offline}") from error
    return data.read(paths)


def _source(name: str, data: NamedData, pictures: np.ndarray, labels: np.ndarray) -> Source:
    x = np.ascontiguousarray(pictures.reshape(*pictures.shape[:3], -1))
    origin = Arrays((x, labels.reshape(-1).astype(np.int32)))
    origin.name, origin.classes = name, data.classes
    return source_of(origin)
