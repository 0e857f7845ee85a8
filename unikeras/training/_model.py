"""uk.Model: a Keras model whose steps are written once and run in fit on each backend."""

from __future__ import annotations

import copy
import functools
from typing import Any

import keras
from keras.src.models.functional import Functional as KerasFunctional
from keras.src.models.model import functional_init_arguments

from unikeras.errors import ArgumentError
from unikeras.training._default_steps import Steps


class Model(Steps, keras.Model):
    """A `keras.Model` whose train, test and predict steps are written once, and run compiled on each backend.

    Subclass it, or call it with inputs and outputs, as `keras.Model`. Override `train_step(self, data)`,
    `test_step`, `predict_step` and `compute_loss` with `keras.ops`, `unikeras.GradientTape` (or without one)
    and `self.optimizer.apply`; `fit`, `evaluate` and `predict` run them inside `unikeras.function`: a
    tf.function on TensorFlow, a jitted function with donated state on JAX. All that steps and layers write
    (metrics, seeds, BatchNorm statistics, memory of stateful layers) is carried, on JAX as elsewhere. Without
    overrides it behaves as `keras.Model` does.

    A step returns a dictionary of scalars. A key that is no metric of the model (`self.metrics`) makes the
    dictionary of the epoch's last batch the epoch's logs; a key "loss" beside the model's own metrics is shown
    as the model's loss tracker has it, so update `self._loss_tracker`, or give the loss another name.

    Args:
        inputs: a `keras.Input`, or several in a list or dictionary; only for functional models.
        outputs: what was computed from them.
        name: the model's name.

    Raises:
        StepError: in fit or evaluate, a step returned no dictionary of scalars.

    Source: keras.Model; the default steps follow keras/src/backend/tensorflow/trainer.py.

    Example:
        >>> import keras, numpy as np, unikeras as uk
        >>> class Halved(uk.Model):
        ...


class Functional(Model, KerasFunctional):
    """A functional `Model`. Keras' files call it Functional, as they do keras.Model's, so any Keras opens them."""


# What `.keras` files say of the class.
Functional.__module__, Functional.__qualname__ = KerasFunctional.__module__, KerasFunctional.__qualname__


@functools.cache
def _functional(cls: type) -> type:
    """Return the functional variant of a subclass of Model; Keras would rewire the bases of the class itself."""
    if cls is Model:
        return Functional
    return cls if issubclass(cls, Functional) else _joined(cls, Functional)


@functools.cache
def _joined(cls: type, other: type) -> type:
    """Return a class that is both; it goes by the name of the one that users wrote."""
    if other is KerasFunctional:
        return _functional(cls)
    named = other if cls is Model else cls
    return type(
        named.__name__,
        (cls, other),
        {"__module__": named.__module__, "__qualname__": named.__qualname__, "__doc__": named.__doc__},
    )
