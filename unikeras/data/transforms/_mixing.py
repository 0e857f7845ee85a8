"""Transforms that make one picture of two of a batch, and one label of their labels."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from unikeras.data.transforms import _ranges
from unikeras.data.transforms._colors import as_dtype
from unikeras.data.transforms._example import Example
from unikeras.data.transforms._ranges import Range
from unikeras.data.transforms._transform import Transform
from unikeras.errors import ArgumentError, ArgumentValueError, DatasetError

_LEAST_ALPHA = 1e-6  # a beta distribution has none at 0


class BatchTransform(Transform):
    """A transform of whole batches; a single example stays as it is.

    A subclass defines `mix`.

    Attributes:
        num_classes: how many classes there are, where labels are class numbers; else None.

    Example:
        >>> import numpy as np
        >>> class Mean(BatchTransform):
        ...     num_classes = None
        ...
        ...     def mix(self, x, y, partners, generator):
        ...         return (x + x[partners]) / 2, None if y is None else (y + y[partners]) / 2
        >>> batch = np.ones((4, 8, 8, 3), "float32"), np.eye(4, dtype="float32")
        >>> pictures, labels = Mean().apply_to_batch(batch, np.random.default_rng(0))
        >>> pictures.shape, labels.sum(axis=1).tolist()
        ((4, 8, 8, 3), [1.0, 1.0, 1.0, 1.0])
    """

    num_classes: int | None

    def apply(self, example: Example, generator: np.random.Generator) -> Example:
        return example

    def apply_to_batch(self, batch: Any, generator: np.random.Generator) -> Any:
        """Return a batch of mixed pictures and mixed labels.

        Args:
            batch: `x` or `(x, y)`: pictures of shape (batch, height, width, channels); `y` are class probabilities
                (one-hot) of shape (batch, classes), class numbers of shape (batch,) where `num_classes` is known, or
                masks.
            generator: what random numbers are drawn from.

        Returns:
            `x` or `(x, y)`: pictures of the same shape and dtype; class numbers become class probabilities.

        Raises:
            ArgumentError: the pictures have another shape.
            DatasetError: `y` cannot be mixed, or there are sample weights.
        """
        x, *rest = batch if isinstance(batch, tuple) else (batch,)
        x = np.asarray(x)
        if x.ndim != 4:
            raise ArgumentError(
                f"{type(self).__name__} mixes pictures of shape (batch, height, width, channels); received {x.shape}"
            )
        if len(rest) > 1:
            raise DatasetError(
                f"{type(self).__name__} has no mean for sample weights; leave them out, or weight the loss"
            )
        partners = generator.permutation(len(x))
        y = self._check_labels(rest[0], x) if rest else None
        mixed_x, mixed_y = self.mix(x, y, partners, generator)
        return (mixed_x, mixed_y) if rest else mixed_x

    @abstractmethod
    def mix(
        self, x: np.ndarray, y: np.ndarray | None, partners: np.ndarray, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return mixed pictures and labels.

        Args:
            x: pictures.
            y: float32 of shape (batch, classes), masks of any dtype, or None.
            partners: which picture is mixed into each, int64, shape (batch,).
            generator: what random numbers are drawn from.
        """

    def _check_probabilities(self) -> None:
        if self.num_classes is not None:
            raise ArgumentValueError(
                f"{self}: the layer takes class probabilities; num_classes has to be None"
            )

    def _check_labels(self, y: Any, x: np.ndarray) -> np.ndarray:
        name = type(self).__name__
        if isinstance(y, dict):
            raise DatasetError(
                f"{name} mixes labels and no {', '.join(map(str, y))}; mix before boxes are made, or not"
            )
        y = np.asarray(y)
        if y.shape[:1] != x.shape[:1]:
            raise DatasetError(
                f"{name} needs a label for each picture; received {y.shape} for {len(x)} pictures"
            )
        if is_mask(y, x):
            return y
        if y.dtype.kind in "iu" and (y.ndim == 1 or y.shape[1:] == (1,)):
            if self.num_classes is None:
                raise DatasetError(
                    f"{name} mixes class probabilities and no class numbers; give {name}(num_classes=...), and train "
                    "with a categorical loss"
                )
            y = y.reshape(-1)
            if y.size and not 0 <= y.min() <= y.max() < self.num_classes:
                raise DatasetError(
                    f"{name} has num_classes={self.num_classes}; received labels from {y.min()} to {y.max()}"
                )
            return np.eye(self.num_classes, dtype=np.float32)[y]
        if y.dtype.kind not in "biuf":
            raise DatasetError(f"{name} mixes numbers; received labels of dtype {y.dtype}")
        return y.astype(np.float32)


@dataclass(frozen=True)
class MixUp(BatchTransform):
    """Mix each picture of a batch, and its label, with another's in a random proportion.

    Args:
        alpha: of the beta distribution that the proportion is drawn from; greater mixes more.
        num_classes: makes class probabilities of labels that are class numbers.

    Raises:
        ArgumentError: an argument is of another type.
        ArgumentValueError: it is not positive.

    Source: Zhang et al. (2018), mixup: Beyond Empirical Risk Minimization; keras.layers.MixUp.

    Example:
        >>> x, y = MixUp(num_classes=3).apply_to_batch(
        ...     (np.zeros((2, 4, 4, 1), "float32"), np.array([0, 2])), np.random.default_rng(0)
        ... )
        >>> y.shape, y.sum(axis=1).tolist()
        ((2, 3), [1.0, 1.0])
    """

    alpha: float = 0.2
    num_classes: int | None = None

    def __post_init__(self) -> None:
        _check_positive("alpha", self.alpha)
        _check_num_classes(self.num_classes)

    def mix(
        self, x: np.ndarray, y: np.ndarray | None, partners: np.ndarray, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray | None]:
        if y is not None and is_mask(y, x):
            raise DatasetError("MixUp has no mixture of masks; CutMix has")
        shares = generator.beta(self.alpha, self.alpha, size=len(x)).astype(np.float32)
        mixed = _mixture(x.astype(np.float32), shares, partners)
        return as_dtype(mixed, x.dtype), None if y is None else _mixture(y, shares, partners)

    def as_layer(self) -> Any:
        import keras

        self._check_probabilities()
        return keras.layers.MixUp(self.alpha)


@dataclass(frozen=True)
class CutMix(BatchTransform):
    """Put a rectangle of another picture of the batch into each; labels mix by area, masks are cut alike.

    Args:
        alpha: of the beta distribution that the rectangle's area is drawn from; at 1 every area is equally likely.
            `(lower, upper)` draws it for each batch.
        num_classes: makes class probabilities of labels that are class numbers.

    Raises:
        ArgumentError: an argument is of another type.
        ArgumentValueError: it is not positive.

    Source: Yun et al. (2019), CutMix; keras.layers.CutMix, whose `factor=a` is `alpha=(0, a)` here.

    Example:
        >>> x, y = CutMix(num_classes=3).apply_to_batch(
        ...     (np.zeros((2, 4, 4, 1), "float32"), np.array([0, 2])), np.random.default_rng(0)
        ... )
        >>> y.shape, y.sum(axis=1).tolist()
        ((2, 3), [1.0, 1.0])
    """

    alpha: float | Range = 1.0
    num_classes: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.alpha, tuple | list):
            object.__setattr__(self, "alpha", _ranges.check_range("alpha", self.alpha, 0))
        else:
            _check_positive("alpha", self.alpha)
            object.__setattr__(self, "alpha", (float(self.alpha), float(self.alpha)))
        _check_num_classes(self.num_classes)

    def mix(
        self, x: np.ndarray, y: np.ndarray | None, partners: np.ndarray, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray | None]:
        count, height, width = x.shape[:3]
        alpha = max(_ranges.draw(self.alpha, generator), _LEAST_ALPHA)
        side = np.sqrt(1 - generator.beta(alpha, alpha, size=count))
        tall, wide = np.rint(side * height).astype(int), np.rint(side * width).astype(int)
        top, left = generator.integers(height - tall + 1), generator.integers(width - wide + 1)
        mixed, cut = x.copy(), y.copy() if y is not None and is_mask(y, x) else None
        for i, partner in enumerate(partners):
            part = (slice(top[i], top[i] + tall[i]), slice(left[i], left[i] + wide[i]))
            mixed[i][part] = x[partner][part]
            if cut is not None and y is not None:
                cut[i][part] = y[partner][part]
        if y is None or cut is not None:
            return mixed, cut
        shares = (1 - tall * wide / (height * width)).astype(np.float32)
        return mixed, _mixture(y, shares, partners)

    def as_layer(self) -> Any:
        import keras

        self._check_probabilities()
        return keras.layers.CutMix(self.alpha)


def is_mask(y: np.ndarray, x: np.ndarray) -> bool:
    """Say whether targets are masks of pictures, both with a batch axis."""
    return y.ndim in (3, 4) and y.shape[:3] == x.shape[:3]


def _mixture(values: np.ndarray, shares: np.ndarray, partners: np.ndarray) -> np.ndarray:
    shares = shares.reshape(-1, *[1] * (values.ndim - 1))
    return shares * values + (1 - shares) * values[partners]


def _check_positive(name: str, value: Any) -> None:
    if _ranges.check_number(name, value) <= 0:
        raise ArgumentValueError(f"{name} has to be positive; received {value}")


def _check_num_classes(value: Any) -> None:
    if value is not None:
        _ranges.check_count("num_classes", value, least=1)
