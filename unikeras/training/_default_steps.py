"""The steps of a model that brings none of its own."""

from __future__ import annotations

import warnings
from typing import Any

import keras

from unikeras.autodiff import GradientTape
from unikeras.training._loop import Loop


class Steps(Loop):
    """What `keras.Model` does with a batch, written once; made to stand before `keras.Model` among the bases.

    Source: keras/src/backend/tensorflow/trainer.py.
    """

    def train_step(self: Any, data):
        ...         x, y = data
        ...         with uk.GradientTape() as tape:
        ...             loss = keras.ops.mean((self(x, training=True) - y) ** 2) / 2
        ...         gradients = tape.gradient(loss, self.trainable_variables)
        ...         self.optimizer.apply(gradients, self.trainable_variables)
        ...         return {"half": loss}
        >>> x = keras.Input((3,))
        >>> model = Halved(x, keras.layers.Dense(1)(x))
        >>> model.compile("sgd")
        >>> history = model.fit(np.ones((8, 3)), np.ones((8, 1)), epochs=2, verbose=0)
        >>> list(history.history)
        ['half']
    """

    _trained: list[int] | None = None

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if cls is Model and functional_init_arguments(args, kwargs):
            cls = Functional
        return super().__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if functional_init_arguments(args, kwargs):
            # Keras would change the bases of the class, and with them those of every later subclass; here the one
            # object becomes functional.
            self.__class__ = _functional(type(self))
        super().__init__(*args, **kwargs)

    @classmethod
    def from_keras(cls, model: keras.Model) -> Any:
        """Return a Keras model as one of this class: it shares layers, weights, optimizer and metrics.

        Args:
            model: any `keras.Model`: Sequential, functional or of a class of its own.

        Returns:
            A model of this class and of the model's, with the steps of this class.

        Raises:
            ArgumentError: it is no `keras.Model`.

        Example:
            >>> import keras
            >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
            >>> Model.from_keras(model).weights[0] is model.weights[0]
            True
        """
        if not isinstance(model, keras.Model):
            raise ArgumentError(f"from_keras takes a keras.Model; received {type(model).__qualname__}")
        if isinstance(model, cls):
            return model
        shared = copy.copy(model)
        vars(shared).update(vars(model))
        shared.__class__ = _joined(cls, type(model))
        shared.train_function = shared.test_function = shared.predict_function = None
        return shared

    def train_step(self: Any, data: Any) -> dict[str, Any]:
        """Train on one batch.

        Args:
            data: what the data source gives: x, (x, y) or (x, y, sample_weight).

        Returns:
            Scalars by name.
        """
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        with GradientTape() as tape:
            y_pred = self._predicted(x, training=True)
            loss = self._compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=True)
            scaled = loss if self.optimizer is None else self.optimizer.scale_loss(loss)
        self._loss_tracker.update_state(loss, sample_weight=_batch_size(x))
        if self.trainable_variables:
            gradients = tape.gradient(scaled, self.trainable_variables)
            self.optimizer.apply(gradients, self.trainable_variables)
        else:
            warnings.warn("The model does not have any trainable weights.", stacklevel=2)
        return dict(self.compute_metrics(x, y, y_pred, sample_weight=sample_weight))

    def test_step(self: Any, data: Any) -> dict[str, Any]:
        """Evaluate one batch.

        Args:
            data: as for `train_step`.

        Returns:
            Scalars by name.
        """
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        y_pred = self._predicted(x, training=False)
        loss = self._compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=False)
        self._loss_tracker.update_state(loss, sample_weight=_batch_size(x))
        return dict(self.compute_metrics(x, y, y_pred, sample_weight=sample_weight))

    def predict_step(self: Any, data: Any) -> Any:
        """Return the model's outputs for one batch.

        Args:
            data: as for `train_step`; y and sample_weight are not looked at.
        """
        return self._predicted(keras.utils.unpack_x_y_sample_weight(data)[0], training=False)

    def _predicted(self: Any, x: Any, training: bool) -> Any:
        return self(x, training=training) if self._call_has_training_arg else self(x)

    def _builds_itself(self: Any) -> bool:
        # A model of models has its own steps and often no call(); its first step builds it.
        return not any(_is_overridden(self, step) for step in ("train_step", "test_step"))


def _batch_size(x: Any) -> Any:
    return keras.ops.shape(next(leaf for leaf in keras.tree.flatten(x) if leaf is not None))[0]


def _is_overridden(model: Any, step: str) -> bool:
    return getattr(type(model), step) is not getattr(Steps, step)
