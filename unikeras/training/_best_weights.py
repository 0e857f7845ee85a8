"""The best value so far, and the weights that a model had with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from unikeras.errors import ArgumentError, ArgumentValueError, StateError


class Monitor:
    """Decides whether a value is better than another one, as Keras' callbacks decide it.

    Args:
        mode: `"min"` where smaller is better, `"max"` where larger is.
        min_delta: by how much at least; the sign is ignored, as Keras ignores it.
    """

    def __init__(self, mode: str, min_delta: float = 0.0) -> None:
        if mode not in ("min", "max"):
            raise ArgumentValueError(f"mode must be 'min' or 'max'; received {mode!r}")
        delta = abs(number("min_delta", min_delta))
        self.mode = mode
        self._signed_delta = -delta if mode == "min" else delta

    def is_improvement(self, value: float, reference: float | None) -> bool:
        """Say whether a value is better than a reference; everything is better than None."""
        if reference is None:
            return True
        # Not as Python's numbers: Keras compares in its own float type, so that nearly equal values are equal.
        with np.errstate(over="ignore"):
            new, old = np.asarray([value - self._signed_delta, reference]).astype(keras.config.floatx())
        return bool(new < old if self.mode == "min" else new > old)


class BestWeights:
    """Keeps the weights that a model had when a value was best.

    `keras.callbacks.ModelCheckpoint(save_best_only=True)` keeps them in a file; this does so in memory, in a loop of
    one's own.

    Args:
        model: a built `keras.Model`.
        mode: `"min"` where a smaller value is better, `"max"` where a larger one is.

    Attributes:
        best: the best value so far; None before the first.

    Raises:
        ArgumentError: `model` is no `keras.Model`, or is not built.
        ArgumentValueError: `mode` is another word.

    Example:
        >>> import keras, unikeras as uk
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> best = uk.training.BestWeights(model)
        >>> best.update(0.5), best.update(0.7)
        (True, False)
        >>> best.restore_weights()
    """

    def __init__(self, model: keras.Model, mode: str = "min") -> None:
        self._model = check_model(model)
        self._monitor = Monitor(mode)
        self.best: float | None = None
        self._weights: list[Any] | None = None

    def update(self, value: Any) -> bool:
        """Take the value of now; where it is the best so far, keep the model's weights.

        Args:
            value: a number, or a tensor with one element.

        Returns:
            Whether it is the best so far. NaN is not, unless it is the first.

        Raises:
            ArgumentError: it is no number.
        """
        value = number("value", value)
        if not self._monitor.is_improvement(value, self.best):
            return False
        self.best = value
        self.keep()
        return True

    def keep(self) -> None:
        """Keep the weights of now, whatever the value is."""
        self._weights = [np.array(weight) for weight in self._model.get_weights()]

    @property
    def has_weights(self) -> bool:
        """Whether weights are kept."""
        return self._weights is not None

    def restore_weights(self) -> None:
        """Give the model the weights that are kept; before the first `update` this does nothing."""
        if self._weights is not None:
            self._model.set_weights(self._weights)

    @property
    def state(self) -> dict[str, Any]:
        """What a checkpoint holds of it: the best value, and the weights as numpy arrays."""
        return {"best": self.best, "weights": None if self._weights is None else list(self._weights)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` returned.

        Args:
            state: from the same kind of object, for a model with the same weights.

        Raises:
            StateError: it is another object's state, or another model's.
        """
        check_state(self, state, self.state)
        weights = state["weights"]
        if weights is not None:
            found = [tuple(np.shape(weight)) for weight in weights]
            expected = [tuple(weight.shape) for weight in self._model.weights]
            if found != expected:
                raise StateError(
                    f"the state has best weights of the shapes {found}; model {self._model.name!r} has {expected}. "
                    "Restore the state of the same model"
                )
            weights = [np.array(weight) for weight in weights]
        self.best, self._weights = state["best"], weights


def number(name: str, value: Any) -> float:
    """Return an argument as a Python number.

    Raises:
        ArgumentError: it is none.
    """
    try:
        if keras.ops.is_tensor(value) or isinstance(value, keras.Variable):
            value = keras.ops.convert_to_numpy(value)
        if isinstance(value, str | bytes):
            raise TypeError
        return float(np.asarray(value).item())
    except (TypeError, ValueError):
        raise ArgumentError(f"{name} must be one number; received {value!r}") from None


def count(name: str, value: Any, least: int = 0) -> int:
    """Return an argument that counts something.

    Raises:
        ArgumentValueError: it is no integer, or is too small.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ArgumentValueError(f"{name} must be an integer of {least} or more; received {value!r}")
    return int(value)


def check_model(model: Any) -> Any:
    """Return a model that has its weights.

    Raises:
        ArgumentError: it is no `keras.Model`, or is not built.
    """
    if not isinstance(model, keras.Model):
        raise ArgumentError(f"model must be a keras.Model; received {type(model).__qualname__}")
    if not model.built:
        raise ArgumentError(
            f"model {model.name!r} is not built and has no weights to keep; call it on a batch, or model.build(shape)"
        )
    return model


def check_state(owner: Any, state: Any, own: Mapping[str, Any]) -> None:
    """Compare the keys of a state with those that an object's own state has.

    Raises:
        StateError: they differ.
    """
    if not isinstance(state, Mapping) or set(state) != set(own):
        found = sorted(map(str, state)) if isinstance(state, Mapping) else type(state).__qualname__
        raise StateError(
            f"this is no state of a {type(owner).__name__}: it has {found} where {sorted(own)} are expected"
        )
