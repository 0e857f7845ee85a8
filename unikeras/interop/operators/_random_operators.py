"""Dropout and random numbers, drawn from a Keras seed: other numbers than torch draws, of the same distribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops, random

from unikeras.interop.operators._arrays import dtype_here, shape
from unikeras.interop.operators._rules import register_operator


def drop(x: Any, p: float, seed: Any) -> Any:
    """Set a share of the entries to 0, and scale the others."""
    return x * _kept(x, shape(x), p, seed) if p else x


def _kept(x: Any, sizes: Sequence[Any], p: float, seed: Any) -> Any:
    """Return 0 for what is dropped, and for the others what keeps the mean."""
    if p == 1:
        return ops.zeros(sizes, x.dtype)
    return ops.cast(_chance(sizes, 1 - p, seed), x.dtype) / (1 - p)


def _chance(sizes: Sequence[Any], p: Any, seed: Any) -> Any:
    """Return True with a probability."""
    return random.uniform(sizes, dtype="float32", seed=seed) < p


def _of_channels(x: Any) -> list[Any]:
    """Return the sizes of a mask that drops whole channels."""
    return [*shape(x)[:2], *[1] * (len(x.shape) - 2)]


@register_operator("aten.dropout", seeded=True)
def dropout(x: Any, p: float, train: bool, *, seed: Any) -> Any:
    return drop(x, p, seed) if train else x


@register_operator("aten.native_dropout", seeded=True)
def dropout_with_mask(x: Any, p: float, train: bool | None, *, seed: Any) -> tuple[Any, Any]:
    if train is False or not p:
        return x, ops.ones_like(x, dtype="bool")
    kept = _kept(x, shape(x), p, seed)
    return x * kept, kept > 0


@register_operator("aten.feature_dropout", seeded=True)
def dropout_of_channels(x: Any, p: float, train: bool, *, seed: Any) -> Any:
    return x * _kept(x, _of_channels(x), p, seed) if train and p else x


@register_operator("aten.alpha_dropout", seeded=True)
def dropout_to_alpha(x: Any, p: float, train: bool, *, seed: Any) -> Any:
    return _drop_to_alpha(x, shape(x), p, seed) if train and p else x


@register_operator("aten.feature_alpha_dropout", seeded=True)
def dropout_of_channels_to_alpha(x: Any, p: float, train: bool, *, seed: Any) -> Any:
    return _drop_to_alpha(x, _of_channels(x), p, seed) if train and p else x


def _drop_to_alpha(x: Any, sizes: Sequence[Any], p: float, seed: Any) -> Any:
    """Set a share of the entries to SELU's lower limit; mean and variance stay."""
    if p == 1:
        return ops.zeros_like(x)
    alpha = 1.7580993408473766
    scale = ((alpha**2 * p + 1) * (1 - p)) ** -0.5
    kept = ops.cast(_chance(sizes, 1 - p, seed), x.dtype)
    return (x * kept - alpha * (1 - kept)) * scale + alpha * p * scale


@register_operator("aten.bernoulli", seeded=True)
def draw_bernoulli(x: Any, p: Any = None, generator: Any = None, *, seed: Any) -> Any:
    return ops.cast(_chance(shape(x), x if p is None else p, seed), x.dtype)


def _floating(dtype: Any) -> str:
    return dtype_here(dtype) if isinstance(dtype, str) else keras.config.floatx()


@register_operator("aten.rand", seeded=True)
def draw_uniform(sizes: Sequence[Any], *, dtype: Any = None, seed: Any, **_: Any) -> Any:
    return random.uniform(sizes, dtype=_floating(dtype), seed=seed)


@register_operator("aten.randn", seeded=True)
def draw_normal(sizes: Sequence[Any], *, dtype: Any = None, seed: Any, **_: Any) -> Any:
    return random.normal(sizes, dtype=_floating(dtype), seed=seed)


@register_operator("aten.rand_like", seeded=True)
def draw_uniform_like(x: Any, *, dtype: Any = None, seed: Any, **_: Any) -> Any:
    return random.uniform(shape(x), dtype=_like(x, dtype), seed=seed)


@register_operator("aten.randn_like", seeded=True)
def draw_normal_like(x: Any, *, dtype: Any = None, seed: Any, **_: Any) -> Any:
    return random.normal(shape(x), dtype=_like(x, dtype), seed=seed)


def _like(x: Any, dtype: Any) -> str:
    return dtype_here(dtype) if isinstance(dtype, str) else keras.backend.standardize_dtype(x.dtype)


@register_operator("aten.randint", seeded=True)
def draw_integers_below(high: Any, sizes: Sequence[Any], *, seed: Any, **_: Any) -> Any:
    return draw_integers(0, high, sizes, seed=seed)


@register_operator("aten.randint.low", seeded=True)
def draw_integers(low: Any, high: Any, sizes: Sequence[Any], *, seed: Any, **_: Any) -> Any:
    return random.randint(sizes, low, high, seed=seed)


@register_operator("aten.uniform", seeded=True)
def fill_uniform(x: Any, low: float = 0.0, high: float = 1.0, *, generator: Any = None, seed: Any) -> Any:
    return random.uniform(shape(x), low, high, dtype=_like(x, None), seed=seed)


@register_operator("aten.normal_functional", seeded=True)
def fill_normal(x: Any, mean: float = 0.0, std: float = 1.0, *, generator: Any = None, seed: Any) -> Any:
    return random.normal(shape(x), mean, std, dtype=_like(x, None), seed=seed)
