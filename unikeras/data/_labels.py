"""Labels of all examples: for splits that keep the share of each class, and for weights of classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from unikeras.data import _examples, _keys
from unikeras.data._chain import Chain
from unikeras.data._chain_steps import Map
from unikeras.errors import ArgumentError, ArgumentValueError, DatasetError


def labels_of(chain: Chain) -> np.ndarray:
    """Return the class of each example, before any shuffle.

    Returns:
        Integers or strings, shape (examples,).

    Raises:
        DatasetError: there are no labels, or they are no classes.
    """
    members = chain.members.indices
    labels = None if any(isinstance(step, Map) for step in chain.steps) else chain.origin.labels()
    if labels is None:
        labels = _read(chain)
    elif _examples.is_node(labels):
        raise DatasetError("labels have to be one array; y is a structure of several")
    else:
        labels = np.asarray(labels)[members]
    return _as_classes(labels)


def _read(chain: Chain) -> np.ndarray:
    def label_of(example: Any) -> np.ndarray:
        if not isinstance(example, tuple) or len(example) < 2:
            raise DatasetError(
                "the examples have no labels; an example has to be (x, y). Use .map(f) to make such, or pass the "
                "classes as stratify="
            )
        if _examples.is_node(example[1]):
            raise DatasetError("labels have to be one array; y is a structure of several")
        return _examples.to_array(example[1])

    return np.stack(list(chain.each(label_of, "labels")))


def _as_classes(labels: np.ndarray) -> np.ndarray:
    """Return one class a row; one-hot rows become numbers."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2 and np.all((labels == 0) | (labels == 1)) and np.all(labels.sum(axis=1) == 1):
        labels = labels.argmax(axis=1)
    if labels.ndim != 1 or not (labels.dtype.kind in "biuUSO" or np.all(labels == np.round(labels))):
        raise DatasetError(
            f"labels have to be classes: integers, strings or one-hot rows; received {labels.dtype} of shape "
            f"{labels.shape}"
        )
    return labels.astype(np.int64) if labels.dtype.kind in "bf" else labels


def class_weight_of(chain: Chain) -> dict[int, float]:
    """Return the weight of each class, so that all classes weigh the same in sum.

    Raises:
        DatasetError: there are no labels, or they are no integers.
    """
    labels = labels_of(chain)
    if labels.dtype.kind not in "iu":
        raise DatasetError("class_weight() needs integer labels; use .map(f) to number the classes")
    classes, counts = np.unique(labels, return_counts=True)
    return {
        int(one): float(len(labels) / (len(classes) * count))
        for one, count in zip(classes, counts, strict=True)
    }


def split_members(
    members: np.ndarray, fraction: float, classes: Any, seed: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Divide members in two; both keep the order that they had.

    Args:
        members: shape (examples,).
        fraction: of the first part, between 0 and 1.
        classes: the class of each member, shape (examples,), or None.
        seed: chooses the members; None for the first ones.

    Raises:
        ArgumentError: classes are no array.
        ArgumentValueError: there are not as many as members, or a part would be empty.
        DatasetError: a class has only one member.
    """
    in_first = np.zeros(len(members), bool)
    groups = [np.arange(len(members))] if classes is None else _groups(classes, len(members))
    if len(members) < 2:
        raise ArgumentValueError(f"a split needs at least 2 examples; there are {len(members)}")
    for number, group in enumerate(groups):
        count = min(max(round(len(group) * fraction), 1), len(group) - 1)
        order = group if seed is None else group[_keys.permutation(len(group), seed, number)]
        in_first[order[:count]] = True
    return members[in_first], members[~in_first]


def _groups(classes: Any, length: int) -> list[np.ndarray]:
    if isinstance(classes, bool | str | int | float):
        raise ArgumentError(f"stratify has to be True, None or an array of classes; received {classes!r}")
    array = np.asarray(classes)
    if array.shape[:1] != (length,):
        raise ArgumentValueError(
            f"stratify has to have a class for each of {length} examples; its shape is {array.shape}"
        )
    array = _as_classes(array)
    found, inverse, counts = np.unique(array, return_inverse=True, return_counts=True)
    if counts.min() < 2:
        raise DatasetError(
            f"class {found[counts.argmin()]!r} has only one example; a split by class needs at least 2 of each"
        )
    return [np.flatnonzero(inverse == number) for number in range(len(found))]
