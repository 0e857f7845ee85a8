"""uk.Model: a Keras model whose steps are written once and run in fit on each backend."""

from __future__ import annotations

import functools
from typing import Any

import keras

from unikeras._keras.classes import Functional as KerasFunctional
from unikeras._keras.classes import functional_init_arguments
from unikeras._keras.saving import GLOBAL_CUSTOM_NAMES
from unikeras.errors import ArgumentError
from unikeras.functions import keep_what_optimizers_change
from unikeras.training._default_steps import DefaultSteps


class Model(DefaultSteps, keras.Model):
    """A `keras.Model` whose train, test and predict steps are written once, and run compiled on each backend.

    Subclass it, or call it with inputs and outputs, as `keras.Model`. Override `train_step(self, data)`,
    `test_step`, `predict_step` and `compute_loss` with `keras.ops`, `unikeras.GradientTape` (or without one)
    and `self.optimizer.apply`; `fit`, `evaluate` and `predict` run them inside `unikeras.function`: a
    tf.function on TensorFlow, a jitted function with donated state on JAX. All that steps and layers write
    (metrics, seeds, BatchNorm statistics, state of stateful layers) is carried, on JAX as elsewhere. Without
    overrides it behaves as `keras.Model` does.

    A step returns a dictionary of scalars. Where its keys are those of `self.metrics`, fit shows what these
    metrics hold (so a step that returns "loss" and the model's other metrics updates `self._loss_tracker`);
    else an epoch's logs are those of its last batch.

    Args:
        inputs: a `keras.Input`, or several in a list or dictionary; only for functional models.
        outputs: what was computed from them.
        name: the model's name.

    Raises:
        StepError: in fit or evaluate, a step returned no dictionary of scalars.

    Source: keras.Model.

    Example:
        >>> import keras, numpy as np, unikeras as uk
        >>> class Halved(uk.Model):
        ...     def train_step(self, data):
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

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if cls is Model and functional_init_arguments(args, kwargs):
            cls = Functional
        keep_what_optimizers_change()
        return super().__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if functional_init_arguments(args, kwargs):
            # Keras would change the bases of the class, and with them those of every later subclass; here the one
            # object becomes functional.
            own: Any = type(self)
            self.__class__ = _functional(own)
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
        keep_what_optimizers_change()
        steps: Any = cls
        own: Any = type(model)
        shared: Any = object.__new__(_join(steps, own))
        vars(shared).update(vars(model))
        shared.train_function = shared.test_function = shared.predict_function = None
        return shared

    def __reduce__(self) -> Any:
        # Keras pickles and copies by way of its file, which calls a functional model that of any Keras.
        return _revive, (super().__reduce__()[1],)

    @classmethod
    def from_config(cls, config: Any, custom_objects: Any = None) -> Any:
        if cls.__init__ is Model.__init__ and "layers" in config and "input_layers" not in config:
            return cls.from_keras(keras.Sequential.from_config(config, custom_objects))
        return super().from_config(config, custom_objects)


def _revive(arguments: Any) -> Any:
    model = keras.Model._unpickle_model(*arguments)
    return model if isinstance(model, Model) else Model.from_keras(model)


class Functional(Model, KerasFunctional):
    """A functional `Model`. Keras' files call it Functional, as they do keras.Model's, so any Keras opens them."""


# What `.keras` files say of the class.
Functional.__module__, Functional.__qualname__ = KerasFunctional.__module__, KerasFunctional.__qualname__


@functools.cache
def _functional(cls: Any) -> Any:
    """Return the functional variant of a subclass of Model; Keras would rewire the bases of the class itself."""
    if cls is Model:
        return Functional
    return cls if issubclass(cls, Functional) else _join(cls, Functional)


@functools.cache
def _join(cls: Any, other: Any) -> Any:
    """Return a class that is both; it goes by the name of the one that users wrote."""
    if other is KerasFunctional:
        return _functional(cls)
    named = other if cls is Model else cls
    names = {"__module__": named.__module__, "__qualname__": named.__qualname__, "__doc__": named.__doc__}
    joined = type(named.__name__, (cls, other), names)
    if named in GLOBAL_CUSTOM_NAMES:
        GLOBAL_CUSTOM_NAMES[joined] = GLOBAL_CUSTOM_NAMES[named]  # what files call it
    return joined
