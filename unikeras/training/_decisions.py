"""What is decided when a step is compiled: which layers train, with which optimizer."""

from __future__ import annotations

from typing import Any

_NUMBERS = (int, float, bool, type(None))


class Decisions:
    """What a model's train step was compiled for, to be compared with the model before each execution.

    Attributes:
        final: whether the step has run: a first run may build layers and the optimizer.
    """

    def __init__(self, model: Any, final: bool = False) -> None:
        self.final = final
        self._layers = list(model._flatten_layers())
        self._variables = list(model.variables)
        # Objects are held, so that no later one gets an identity that is compared.
        self._optimizer = getattr(model, "optimizer", None)
        self._rate = _rate(self._optimizer)
        self._eager = model.run_eagerly
        self._flags = self._read_flags()
        self._numbers = _numbers(self._optimizer)

    def hold(self, model: Any) -> bool:
        """Say whether a step that is compiled now would be the same."""
        optimizer = getattr(model, "optimizer", None)
        return (
            optimizer is self._optimizer
            and _rate(optimizer) is self._rate
            and model.run_eagerly == self._eager
            and self._read_flags() == self._flags
            and _numbers(optimizer) == self._numbers
        )

    def _read_flags(self) -> list[bool]:
        return [o._trainable for o in self._layers] + [o._trainable for o in self._variables]


def _inner(optimizer: Any) -> Any:
    return getattr(optimizer, "inner_optimizer", optimizer)


def _rate(optimizer: Any) -> Any:
    return getattr(_inner(optimizer), "_learning_rate", None)


def _numbers(optimizer: Any) -> dict[str, Any]:
    """Return an optimizer's hyperparameters (weight decay, clipping); programs hold them as constants."""
    values = getattr(_inner(optimizer), "__dict__", {})
    return {name: value for name, value in values.items() if type(value) in _NUMBERS and name[0] != "_"}
