"""Calls of torch's operators, by family: what the rules of `unikeras/interop/operators` must compute as torch does.

A module here has `CASES`, a dict of names and `OperatorCase`s. Arrays are float64, int64 or bool; a case holds no
tensor of a framework, so that it can be looked up in any process.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Size:
    """In arguments: the size of the first axis of the first array, times a number. It may be a scalar tensor.

    Attributes:
        times: the number.
        plus: a number added to it.
    """

    times: int = 1
    plus: int = 0


@dataclass(frozen=True)
class OperatorCase:
    """One call of an operator.

    Attributes:
        operator: such as `"aten.linear.default"`.
        args: arrays, numbers, lists, None, `Size`; a dtype is its name, such as `"float64"`.
        kwargs: likewise.
        gradients: whether the gradients for float arrays are compared.
        dynamic: whether the first axis of the first array, and of all arrays as long as it, may have any size.
        tolerance: of values and gradients, relative to the largest of an array, at least to 1.
        answer: what computes the answer of torch tensors, where torch has no such operator.
    """

    operator: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    gradients: bool = True
    dynamic: bool = True
    tolerance: float = 1e-12
    answer: Callable[..., Any] | None = None


def families() -> list[str]:
    """Return the names of the modules here."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def cases(family: str) -> dict[str, OperatorCase]:
    """Return the cases of a family."""
    return importlib.import_module(f"{__name__}.{family}").CASES


def numbers(*shape: int, seed: int = 0, low: float = -2.0, high: float = 2.0) -> np.ndarray:
    """Return float64 numbers that no two cases of rounding share."""
    return np.random.default_rng([seed, *shape]).uniform(low, high, shape)


def integers(*shape: int, seed: int = 0, low: int = -5, high: int = 6) -> np.ndarray:
    """Return int64 numbers, `high` not among them."""
    return np.random.default_rng([seed, *shape]).integers(low, high, shape)


def flags(*shape: int, seed: int = 0) -> np.ndarray:
    """Return bools of both kinds."""
    return integers(*shape, seed=seed, low=0, high=2).astype(bool)


def made(**by_name: tuple[Any, ...]) -> dict[str, OperatorCase]:
    """Return cases of `name=(operator, *args)`; a last argument that is a dict is keywords."""
    made_cases = {}
    for name, (operator, *args) in by_name.items():
        kwargs = args.pop() if args and isinstance(args[-1], dict) else {}
        made_cases[name] = OperatorCase(operator, tuple(args), kwargs)
    return made_cases
