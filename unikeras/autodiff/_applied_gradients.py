"""What Keras' optimizers leave unsaid: that gradients match variables; and slots for variables that come later."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from unikeras._keras import hooks
from unikeras.autodiff import _optimizer_slots
from unikeras.errors import GradientError

# What else wants to know which variables an optimizer is about to change.
_listeners: dict[Callable[[list[Any]], None], None] = {}


# The last two wrap other optimizers, and have an `apply` of their own, which stops at the shorter list.
_APPLY = (
    "keras.Optimizer.apply",
    "keras.optimizers.LossScaleOptimizer.apply",
    "keras.optimizers.MultiOptimizer.apply",
)


def check_applied_gradients() -> None:
    """Check what `Optimizer.apply` is given, from now on, in the whole process."""
    for attribute in _APPLY:
        hooks.use(attribute, _check_before_apply)


def listen_to_applied_gradients(listener: Callable[[list[Any]], None]) -> None:
    """Call a function with the variables (slots, too) that an optimizer is about to change."""
    _listeners[listener] = None


def _check_before_apply(own: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(own)
    def apply(self: keras.Optimizer, grads: Any, trainable_variables: Any = None) -> Any:
        grads = _as_list("gradients", grads)
        if trainable_variables is not None:
            trainable_variables = _as_list("variables", trainable_variables)
        if trainable_variables is not None or self.built:
            known = self._trainable_variables if trainable_variables is None else trainable_variables
            _check(grads, known)
            if grads:
                _optimizer_slots.grow(self, known)
            for listener in tuple(_listeners):
                listener([*known, *self.variables])
        return own(self, grads, trainable_variables)

    return apply


def _as_list(what: str, values: Any) -> list[Any]:
    if isinstance(values, str | Mapping) or hasattr(values, "shape") or not hasattr(values, "__iter__"):
        raise GradientError(f"apply takes a list of {what}; received {type(values).__qualname__}")
    return list(values)


def _check(grads: Sequence[Any], variables: Sequence[Any]) -> None:
    if len(grads) != len(variables):
        raise GradientError(
            f"apply received {len(grads)} gradients for {len(variables)} variables; "
            "pass one for each, in the order of the variables, and None where there is none"
        )
    if grads and all(gradient is None for gradient in grads):
        raise GradientError(
            f"all {len(grads)} gradients are None: what was differentiated does not depend on any of "
            f"{', '.join(map(_path, variables[:4]))}{', ...' if len(variables) > 4 else ''}. "
            "Compute the loss inside the tape's block, from the model's output, with keras.ops"
        )
    pairs = zip(grads, variables, strict=True)
    if wrong := [text for gradient, variable in pairs if (text := _mismatch(gradient, variable))]:
        raise GradientError(
            f"gradients do not match their variables: {'; '.join(wrong)}. Pass one gradient of the variable's shape "
            "for each, in the order of the variables (apply_gradients takes pairs)"
        )


def _mismatch(gradient: Any, variable: Any) -> str | None:
    if gradient is None:
        return None
    if isinstance(gradient, tuple | list | dict | str) and not hasattr(gradient, "shape"):
        return f"{_path(variable)} has a {type(gradient).__name__} in place of a tensor"
    try:
        shape = tuple(gradient.shape if hasattr(gradient, "shape") else np.shape(gradient))
    except ValueError:  # a symbolic tensor of unknown rank
        return None
    expected = tuple(variable.shape)
    fits = len(shape) == len(expected) and all(
        a is None or b is None or a == b for a, b in zip(shape, expected, strict=True)
    )
    return None if fits else f"{_path(variable)} has shape {expected}, its gradient {shape}"


def _path(variable: Any) -> str:
    return str(getattr(variable, "path", getattr(variable, "name", "a variable")))
