"""What `device.py` runs on each device: small programs whose numbers must be those of the CPU."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers, ops

import unikeras as uk

Arrays = dict[str, Any]
CHECKS: dict[str, Callable[[], Arrays]] = {}
STEPS, BATCH, CLASSES = 6, 8, 5


def check(f: Callable[[], Arrays]) -> Callable[[], Arrays]:
    CHECKS[f.__name__] = f
    return f


def numbers(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def seeded(model: keras.Model) -> keras.Model:
    """Give a model weights that no device's generator has drawn."""
    model.set_weights(
        [
            0.3 * numbers(*w.shape, seed=i) ** (2 if "variance" in w.path else 1)
            for i, w in enumerate(model.weights)
        ]
    )
    return model


@check
def functions_with_state() -> Arrays:
    """A function that counts, draws and returns; three calls, and one that fails in between."""
    count, draws = keras.Variable(0.0), keras.random.SeedGenerator(7)

    @uk.function
    def step(x, fail=False):
        count.assign_add(ops.sum(x))
        keras.random.uniform(
            (2,), seed=draws
        )  # another generator on each device: the seed's state must agree
        if fail:
            raise RuntimeError("on purpose")
        return x * count

    x = numbers(3)
    results = [step(x), step(x)]
    try:
        step(x, fail=True)
    except RuntimeError:
        results += [float(count)]  # a copy: a program may take over the array itself
    return named(results=[*results, step(x)], seed=[draws.state.value])


@check
def retraces() -> Arrays:
    """How often a function is traced for shapes, dtypes and Python values, and what it returns."""

    @uk.function
    def scaled(x, factor):
        return x * factor

    calls = [(numbers(2), 2), (numbers(2, seed=1), 2), (numbers(3), 2), (numbers(2), 3), (numbers(2) > 0, 2)]
    outputs, counts = [], []
    for x, factor in calls:
        outputs.append(scaled(x, factor))
        counts.append(scaled.trace_count)
    return named(outputs=outputs, counts=counts)


@check
def random_draws_repeat() -> Arrays:
    """Two calls draw differently, and the same seed's state draws the same again; both are 1 where that holds."""
    dropout = layers.Dropout(0.5, seed=3)
    dropped = uk.function(lambda x: dropout(x, training=True))
    x = np.ones((64,), "float32")
    before = [np.array(ops.convert_to_numpy(v.value)) for v in dropout.variables]
    first, second = (ops.convert_to_numpy(dropped(x)) for _ in range(2))
    for variable, value in zip(dropout.variables, before, strict=True):
        variable.assign(value)
    again = ops.convert_to_numpy(dropped(x))
    return {"differ": np.float32((first != second).any()), "repeat": np.float32((first == again).all())}


@check
def gradients() -> Arrays:
    """The tape and the transforms on a small function of a matrix."""
    w, x = numbers(4, 3), numbers(5, 4, seed=1)
    tensor = ops.convert_to_tensor

    def loss(w):
        return ops.sum(ops.tanh(ops.matmul(tensor(x), w)) ** 2)

    v = numbers(4, 3, seed=2)
    with uk.GradientTape(persistent=True) as tape:
        watched = tensor(w)
        tape.watch(watched)
        y = ops.tanh(ops.matmul(tensor(x), watched))
        z = ops.sum(y**3)
    found = [tape.gradient(z, watched), tape.gradient(y, watched)]
    found += [uk.grad(loss)(tensor(w)), uk.value_and_grad(loss)(tensor(w))[0], uk.hessian(loss)(tensor(w))]
    found += [uk.hvp(loss, (tensor(w),), (tensor(v),)), uk.jvp(loss, (tensor(w),), (tensor(v),))[1]]
    found += [uk.vmap(lambda row: ops.sum(row**2))(tensor(x)), uk.function(uk.grad(loss))(tensor(w))]
    return named(found=found)


def mlp() -> keras.Model:
    hidden = [layers.Dense(16), layers.BatchNormalization(), layers.ReLU()]
    return keras.Sequential([keras.Input((12,)), *hidden, layers.Dense(CLASSES)])


def cnn() -> keras.Model:
    convolutions = [
        layers.Conv2D(8, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(8, 3, padding="same"),
    ]
    return keras.Sequential(
        [keras.Input((12, 12, 3)), *convolutions, layers.Flatten(), layers.Dense(CLASSES)]
    )


def lstm() -> keras.Model:
    recurrent = [uk.layers.LSTM(8, return_sequences=True), uk.layers.GRU(8)]
    return keras.Sequential([keras.Input((7, 6)), *recurrent, layers.Dense(CLASSES)])


def attention() -> keras.Model:
    inputs = keras.Input((6, 8))
    attended = layers.LayerNormalization()(inputs + layers.MultiHeadAttention(2, 4)(inputs, inputs))
    return keras.Model(inputs, layers.Dense(CLASSES)(layers.GlobalAveragePooling1D()(attended)))


MODELS = (mlp, cnn, lstm, attention)


def batch(model: keras.Model) -> tuple[Any, Any]:
    x = numbers(BATCH * STEPS, *model.input_shape[1:])
    return x, np.random.default_rng(1).integers(0, CLASSES, len(x))


def loss_function() -> keras.losses.Loss:
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def fitted(make: Callable[[], keras.Model]) -> Arrays:
    """Return the losses of two epochs of `fit`, what the model predicts then, and its weights."""
    model = uk.Model.from_keras(seeded(make()))
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9), loss_function(), metrics=["accuracy"])
    x, y = batch(model)
    history = model.fit(x, y, batch_size=BATCH, epochs=2, shuffle=False, verbose=0).history
    metrics = model.evaluate(x, y, batch_size=BATCH, verbose=0)
    outputs = model.predict(x, batch_size=BATCH, verbose=0)
    return named(losses=history["loss"], metrics=metrics, outputs=[outputs], weights=model.get_weights())


def stepped(make: Callable[[], keras.Model], jit_compile: Any) -> Arrays:
    """Return the losses of a train step in `uk.function` with Adam, and its weights."""
    from runs import ours

    model, accuracy = seeded(make()), keras.metrics.SparseCategoricalAccuracy()
    # Adam divides by the root of a mean of squares: a large epsilon keeps the noise of small gradients small.
    step = ours(model, keras.optimizers.Adam(0.01, epsilon=1e-3), loss_function(), accuracy, jit_compile)
    x, y = batch(model)
    rows = [slice(i, i + BATCH) for i in range(0, len(x), BATCH)]
    losses = [step(x[row], y[row]) for row in rows]
    return named(losses=losses, accuracy=[accuracy.result()], weights=model.get_weights())


for _make in MODELS:
    CHECKS[f"fit_{_make.__name__}"] = lambda make=_make: fitted(make)
    CHECKS[f"step_{_make.__name__}"] = lambda make=_make: stepped(make, "auto")
CHECKS["step_mlp_jit"] = lambda: stepped(mlp, True)


def named(**groups: Any) -> Arrays:
    return {
        f"{name}.{number}": np.asarray(ops.convert_to_numpy(value))
        for name, values in groups.items()
        for number, value in enumerate(values)
    }


def contract() -> dict[str, str]:
    """Run `uk.testing.BackendContract`; return the failures."""
    suite = uk.testing.BackendContract()
    failed = {}
    for name in dir(suite):
        if name.startswith("test_"):
            try:
                getattr(suite, name)()
            except Exception as error:
                failed[name] = _text(error)
    return failed


def main(path: str, names: list[str]) -> None:
    """Run checks; write their arrays to a file, and print versions, devices and failures as JSON."""
    found, failed = {}, {}
    for name in names:
        print(name, file=sys.stderr, flush=True)
        try:
            found |= {f"{name}/{key}": value for key, value in CHECKS[name]().items()}
        except Exception as error:
            failed[name] = _text(error)
    np.savez(path, **found)
    failed |= contract()
    backend = uk.backends.current()
    print(json.dumps({"version": backend.version(), "devices": backend.devices(), "failed": failed}))


def _text(error: Exception) -> str:
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({place.filename}:{place.lineno})"[:600]


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2].split(","))
