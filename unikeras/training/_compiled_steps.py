"""The steps of a model, as what the loop calls once per execution."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, cast

import keras
import numpy as np

from unikeras import backends
from unikeras.errors import StepError
from unikeras.functions import EagerRunner, Function


def prepare_step(model: Any, name: str, step: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a step compiled as the model's `compile()` asks for, or as Python where it says `run_eagerly`."""
    _check_signature(model, name)
    step.__name__, step.__qualname__ = name, f"{type(model).__name__}.{name}"  # as users and messages call it
    if model.run_eagerly:
        runner = EagerRunner(step, records=True)
        return lambda data: runner((data,), {})
    # A step of the user's may call PyTorch's own backward().
    return Function(step, _jit_compile(model), records=True)


def _jit_compile(model: Any) -> bool | str:
    # Keras takes "auto" for False where it would not compile: on PyTorch for each model.
    if backends.current().falls_back and model._chooses_jit_compile:
        return "auto"
    compiles: bool = model.jit_compile
    return compiles


def build_train_function(model: Any) -> Callable[[Sequence[Any]], Any]:
    """Return a function of several batches that trains on each and returns the last logs."""

    def run_train(data: Any) -> Any:
        return flat_logs(model, "train_step", model.train_step(data))

    return _last(prepare_step(model, "train_step", run_train))


def build_test_function(model: Any) -> Callable[[Sequence[Any]], Any]:
    """Return a function of several batches that evaluates each and returns the last logs."""

    def run_test(data: Any) -> Any:
        with backends.current().inference_mode():
            return flat_logs(model, "test_step", model.test_step(data))

    return _last(prepare_step(model, "test_step", run_test))


def build_predict_function(model: Any) -> Callable[[Sequence[Any]], Any]:
    """Return a function of several batches that returns the outputs for all of them."""

    def run_predict(data: Any) -> Any:
        with backends.current().inference_mode():
            return model.predict_step(data)

    step = prepare_step(model, "predict_step", run_predict)

    def run(batches: Sequence[Any]) -> Any:
        outputs = [step(data) for data in batches]
        if len(outputs) == 1:
            return outputs[0]
        return keras.tree.map_structure(lambda *parts: keras.ops.concatenate(parts), *outputs)

    return _of_step(run, step)


def _last(step: Callable[[Any], Any]) -> Callable[[Sequence[Any]], Any]:
    def run(batches: Sequence[Any]) -> Any:
        for data in batches:
            logs = step(data)
        return logs

    return _of_step(run, step)


def _of_step(run: Any, step: Callable[[Any], Any]) -> Callable[[Sequence[Any]], Any]:
    """Let whoever has the function of several batches find the compiled step, which explains itself."""
    run.step = step
    return cast("Callable[[Sequence[Any]], Any]", run)


def flat_logs(model: Any, step: str, logs: Any) -> dict[str, Any]:
    """Check what a step returned, and flatten it as Keras does: the keys of inner dictionaries move up.

    Raises:
        StepError: it is no dictionary, or holds what is no scalar.
    """
    where = f"{type(model).__name__}.{step}"
    if not isinstance(logs, dict):
        raise StepError(
            f"{where} returned a {type(logs).__name__}; it has to return a dictionary of scalars, such as "
            "{'loss': loss} or self.compute_metrics(x, y, y_pred)"
        )
    flat: dict[str, Any] = {}
    for name, value in logs.items():
        flat |= flat_logs(model, step, value) if isinstance(value, dict) else {name: value}
    if wrong := {name: shape for name, value in flat.items() if (shape := _shape(value)) != ()}:
        listed = ", ".join(f"{name!r} ({shape})" for name, shape in wrong.items())
        raise StepError(
            f"{where} returned logs that are no scalars: {listed}; take a mean, or leave them out"
        )
    return flat


def _check_signature(model: Any, name: str) -> None:
    parameters = inspect.signature(getattr(model, name)).parameters.values()
    needed = [
        p.name
        for p in parameters
        if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    if len(needed) > 1:
        raise StepError(
            f"{type(model).__name__}.{name} takes ({', '.join(needed)}); a step of a uk.Model takes (data) on every "
            "backend, and finds its variables where they are: Keras' stateless signature for JAX is not needed"
        )


def _shape(value: Any) -> Any:
    if isinstance(value, int | float | np.number | np.bool_):
        return ()
    if not hasattr(value, "shape"):
        return type(value).__name__
    shape = tuple(value.shape)
    return () if all(size == 1 for size in shape) else shape
