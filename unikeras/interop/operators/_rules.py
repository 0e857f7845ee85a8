"""Names of torch's operators, and the rules that compute them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from unikeras.errors import ArgumentError

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Rule:
    """How an operator of torch is computed.

    Attributes:
        compute: takes the operator's own arguments.
        is_seeded: whether it takes `seed=`, a `keras.random.SeedGenerator`, besides.
    """

    compute: Callable[..., Any]
    is_seeded: bool = False


_RULES: dict[str, Rule] = {}


def register_operator(*names: str, seeded: bool = False) -> Callable[[Function], Function]:
    """Register a function as the rule of operators of torch, for `from_torch` and the models that it has made.

    Args:
        names: such as `"aten.linear"`, for all overloads, or `"aten.min.other"`, for one.
        seeded: whether the function takes `seed=`, a `keras.random.SeedGenerator`.

    Returns:
        A decorator. The function takes the operator's own arguments, with tensors of Keras, and returns tensors.

    Raises:
        ArgumentError: a name has no namespace, none is given, or what is decorated cannot be called.

    Example:
        >>> import keras
        >>> import unikeras as uk
        >>> @uk.interop.register_operator("mine.scale")
        ... def scale(x, factor=2.0):
        ...     return keras.ops.multiply(x, factor)
    """

    wrong = [name for name in names if not (isinstance(name, str) and "." in name.strip("."))]
    if wrong or not names:
        raise ArgumentError(
            "register_operator takes names of operators with their namespace, such as 'aten.linear'; received "
            + (", ".join(map(repr, wrong)) or "none")
        )

    def register(compute: Function) -> Function:
        if not callable(compute):
            raise ArgumentError(f"the rule of {names[0]} has to be a function; received {compute!r:.60}")
        _RULES.update(dict.fromkeys(names, Rule(compute, seeded)))
        return compute

    return register


def find(name: str) -> Rule | None:
    """Return the rule of `"aten.linear.default"`: its own, else that of all overloads, `"aten.linear"`."""
    return _RULES.get(name) or _RULES.get(name.rpartition(".")[0])


def known() -> list[str]:
    """Return the names that have a rule."""
    return sorted(_RULES)
