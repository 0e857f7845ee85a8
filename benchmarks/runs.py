"""What the benchmarks time: one round of training, or of predictions, by unikeras, by Keras and by hand."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from models import CASES

import unikeras as uk

Run = Callable[[], Any]
# The name of each way to run, and what it is.
WAYS = {
    "auto": "uk.function, or predict_on_batch of a uk.Model",
    "jit": "the same with jit_compile=True",
    "hand": "the framework's own compiled loop; on torch modules of torch.nn and torch.optim",
    "keras_layers": "on torch: Keras' layers and optimizer with autograd's backward",
    "keras": "fit, or predict_on_batch, of keras.Model",
}
PREDICTIONS = 30
SYNCHRONIZE = uk.backends.current().synchronize


def ways() -> list[str]:
    """Return the ways to run under this backend."""
    native = importlib.util.find_spec(f"native.{uk.backend()}_keras_layers")
    return [way for way in WAYS if way != "keras_layers" or native is not None]


def calls_in_a_round(name: str) -> int:
    """Return how many steps or predictions a round has."""
    return PREDICTIONS if name.startswith("predict-") else CASES[name].steps


def run_of(name: str, way: str, calls: int) -> Run:
    """Return a function that runs one round; its first call traces and compiles.

    Args:
        name: a name of `CASES` to train it, or `predict-` and such a name.
        way: a name of `WAYS`.
        calls: steps or predictions in a round.
    """
    predicts = name.startswith("predict-")
    return (_predicting if predicts else _training)(name.removeprefix("predict-"), way, calls)


def _training(name: str, way: str, steps: int) -> Run:
    case = CASES[name]
    x, y = case.data(steps)
    if way == "keras":
        return fit(case.make(), x, y, case.batch)
    if way in ("auto", "jit"):
        step = ours(*parts(case.make(uk)), jit_compile=True if way == "jit" else "auto")
    elif way == "keras_layers":
        step = _native("_keras_layers").training(*parts(case.make()))
    else:
        step = by_hand(name, case)
    return looped(step, x, y, case.batch)


def by_hand(name: str, case: Any) -> Callable[..., Any]:
    """Return the framework's own train step, of the Keras model, or of a module with as many parameters."""
    native, model = _native(), case.make()
    if not hasattr(native, "module"):
        return native.training(*parts(model))
    native.check_size(name, sum(variable.value.numel() for variable in model.trainable_variables))
    return native.training(name)


def _predicting(name: str, way: str, calls: int) -> Run:
    case = CASES[name]
    x = case.data(1)[0][:1]
    if way == "hand" and hasattr(_native(), "module"):
        predict = _native().prediction(name)
    elif way == "hand":
        predict = _native().prediction(case.make())
    elif way == "keras_layers":
        predict = _native("_keras_layers").prediction(case.make())
    elif way == "keras":
        predict = case.make().predict_on_batch
    else:
        model = uk.Model.from_keras(case.make(uk))
        model.compile(jit_compile=True if way == "jit" else "auto")
        predict = model.predict_on_batch

    def run() -> None:
        for _ in range(calls):
            predict(x)

    return run


def _native(suffix: str = "") -> Any:
    return importlib.import_module(f"native.{uk.backend()}{suffix}")


def parts(model: keras.Model) -> tuple[Any, ...]:
    """Return a model with the optimizer, the loss and the metric of the benchmarks."""
    accuracy = keras.metrics.SparseCategoricalAccuracy()
    return model, keras.optimizers.Adam(), loss_function(), accuracy


def loss_function() -> keras.losses.Loss:
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def ours(model, optimizer, loss_fn, accuracy, jit_compile="auto"):
    """Return the train step as unikeras has it."""

    @uk.function(jit_compile=jit_compile)
    def step(x, y):
        with uk.GradientTape() as tape:
            logits = model(x, training=True)
            loss = loss_fn(y, logits)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        accuracy.update_state(y, logits)
        return loss

    return step


def looped(step, x, y, batch: int = 64) -> Run:
    """Return a function that trains for one round, in another order each time."""

    def run() -> None:
        order = np.random.permutation(len(x))
        for i in range(0, len(x), batch):
            rows = order[i : i + batch]
            loss = step(x[rows], y[rows])
        SYNCHRONIZE(loss)

    return run


def fit(model, x, y, batch: int = 64) -> Run:
    """Return a function that fits a model for one round."""
    model.compile("adam", loss_function(), metrics=["accuracy"])
    return lambda: model.fit(x, y, batch_size=batch, epochs=1, verbose=0)
