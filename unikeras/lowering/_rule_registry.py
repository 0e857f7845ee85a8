"""Which layers and operations can be lowered: one rule for each class."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from unikeras.lowering._layer_call import Call

Rule = Callable[[Call], Any]
F = TypeVar("F", bound=Callable[..., Any])

_RULES: dict[type, Rule] = {}


class HasModule(Protocol):
    """A layer that stands for a torch module."""

    def to_torch_module(self) -> Any:
        """Return the module, or None where there is none."""


def rule(*classes: type) -> Callable[[F], F]:
    """Make a function the rule of these classes: it takes a `Call` and returns what the call gives.

    A rule returns a proxy, a `Value`, or a tuple of them in the order of the call's outputs.
    """

    def enter(function: F) -> F:
        _RULES.update(dict.fromkeys(classes, function))
        return function

    return enter


def register(layer_class: type) -> Callable[[F], F]:
    """Say what stands for a layer of your own in a lowered model.

    The class has to match exactly: a subclass may override `call`, and is asked for by its own name.

    Args:
        layer_class: the layer's class.

    Returns:
        A decorator for a function that takes the built layer and returns a `torch.nn.Module`, or a
        callable of tensors that `torch.fx` can trace. What it returns is called with the tensors that
        the layer is called with, in Keras' order of axes, and with masks under the names of the
        arguments by which the layer's `call` takes them, where there are masks. A layer that is called
        in several places is built once.

    Example:
        >>> import keras, torch
        >>> from unikeras import lowering
        >>> class Doubled(keras.layers.Layer):
        ...     def call(self, x):
        ...         return 2 * x
        >>> @lowering.register(Doubled)
        ... def doubled(layer):
        ...     return lambda x: 2 * x
        >>> model = keras.Sequential([keras.Input((3,)), Doubled()])
        >>> lowering.to_torch(model)(torch.ones(1, 3))
        tensor([[2., 2., 2.]])
    """

    def enter(function: F) -> F:
        rule(layer_class)(lambda call: call.module(function)(*call.tensors, **call.named_tensors))
        return function

    return enter


def find(operation_class: type) -> Rule | None:
    """Return the rule of exactly this class, or None; a class may have its own, as `to_torch_module`."""
    from unikeras.lowering import rules

    for module in pkgutil.iter_modules(rules.__path__):
        importlib.import_module(f"{rules.__name__}.{module.name}")
    return _RULES.get(HasModule if "to_torch_module" in vars(operation_class) else operation_class)
