"""Gradients against the framework's own, interleaved in one process.

KERAS_BACKEND=jax python benchmarks/gradients.py

Prints milliseconds (medians over rounds) and the median of each round's ratio. Read ratios; milliseconds depend on
what else the machine does. The native side is what one writes without unikeras: tf.GradientTape; torch.autograd.grad
and torch.func.hessian; jax.value_and_grad and jax.hessian. JAX has no eager tape, so the eager step stands there
beside jax.value_and_grad, not jitted, of a stateless call.
"""

from __future__ import annotations

import functools
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers, ops

import unikeras as uk

ROUNDS, SECONDS = 15, 0.1  # how long one side of a round takes, or one call if that is longer
Call = Callable[[], object]
# What a table shows of a pair of calls: its name, the two sides, how large the ratio may be.
Row = tuple[str, Call, Call, float | None]


def mlp() -> keras.Model:
    return keras.Sequential(
        [keras.Input((784,)), layers.Dense(512, "relu"), layers.Dense(512, "relu"), layers.Dense(10)]
    )


class Step:
    """The loss of an MLP on a batch of 64, and its gradient, without an optimizer."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.model = mlp()
        self.variables = self.model.trainable_variables
        self.x = ops.convert_to_tensor(rng.normal(size=(64, 784)).astype("float32"))
        self.y = ops.convert_to_tensor(rng.integers(0, 10, 64).astype("int32"))

    def error(self, logits, y):
        return ops.mean(ops.sparse_categorical_crossentropy(y, logits, from_logits=True))

    def loss(self, x, y):
        return self.error(self.model(x, training=True), y)

    def stateless_loss(self, weights, x, y):
        return self.error(self.model.stateless_call(weights, [], x, training=True)[0], y)

    def tape(self, x, y):
        with uk.GradientTape() as tape:
            loss = self.loss(x, y)
        return loss, tape.gradient(loss, self.variables)


class Hessian:
    """The loss of a network with 200 parameters, as a function of them in one vector."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.model = keras.Sequential([keras.Input((8,)), layers.Dense(18, "tanh"), layers.Dense(2)])
        self.x = ops.convert_to_tensor(rng.normal(size=(64, 8)).astype("float32"))
        self.parameters = ops.convert_to_tensor(rng.normal(size=200).astype("float32"))
        self.shapes = [tuple(v.shape) for v in self.model.trainable_variables]
        self.ends = np.cumsum([int(np.prod(shape)) for shape in self.shapes])[:-1].tolist()

    def loss(self, parameters):
        parts = zip(ops.split(parameters, self.ends), self.shapes, strict=True)
        weights = [ops.reshape(part, shape) for part, shape in parts]
        return ops.mean(self.model.stateless_call(weights, [], self.x)[0] ** 2)


def tensorflow_rows(step: Step, hessian: Hessian) -> list[Row]:
    import tensorflow as tf

    values = [variable.value for variable in step.variables]

    def native_step():
        with tf.GradientTape() as tape:
            loss = step.loss(step.x, step.y)
        return loss, tape.gradient(loss, values)

    def native_hessian(p):
        with tf.GradientTape() as outer:
            outer.watch(p)
            with tf.GradientTape() as inner:
                inner.watch(p)
                loss = hessian.loss(p)
            gradient = inner.gradient(loss, p)
        return outer.jacobian(gradient, p)

    p = hessian.parameters
    ours, native = uk.function(uk.hessian(hessian.loss)), tf.function(native_hessian)
    return [
        ("eager tape step", lambda: step.tape(step.x, step.y), native_step, 1.10),
        ("hessian", lambda: uk.hessian(hessian.loss)(p), lambda: native_hessian(p), 1.2),
        ("hessian, compiled", lambda: ours(p), lambda: native(p), 1.2),
    ]


def torch_rows(step: Step, hessian: Hessian) -> list[Row]:
    import torch

    values = [variable.value for variable in step.variables]

    def native_step():
        loss = step.loss(step.x, step.y)
        return loss, torch.autograd.grad(loss, values)

    p = hessian.parameters
    return [
        ("eager tape step", lambda: step.tape(step.x, step.y), native_step, 1.10),
        ("hessian", lambda: uk.hessian(hessian.loss)(p), lambda: torch.func.hessian(hessian.loss)(p), 1.2),
    ]


def jax_rows(step: Step, hessian: Hessian) -> list[Row]:
    import jax

    def weights():
        return [variable.value for variable in step.variables]

    x, y, p = step.x, step.y, hessian.parameters
    eager = jax.value_and_grad(step.stateless_loss)
    compiled, native = uk.function(step.tape), jax.jit(jax.value_and_grad(step.stateless_loss))
    ours, native_hessian = uk.function(uk.hessian(hessian.loss)), jax.jit(jax.hessian(hessian.loss))

    def first_call():
        return uk.function(lambda x, y: step.tape(x, y))(x, y)

    def native_first_call():
        return jax.jit(jax.value_and_grad(lambda w, x, y: step.stateless_loss(w, x, y)))(weights(), x, y)

    return [
        (
            "eager step (jax: no tape, unjitted)",
            lambda: step.tape(x, y),
            lambda: eager(weights(), x, y),
            None,
        ),
        ("compiled step", lambda: compiled(x, y), lambda: native(weights(), x, y), 1.05),
        ("compiled step, first call", first_call, native_first_call, 2.5),
        ("hessian, compiled", lambda: ours(p), lambda: native_hessian(p), 1.2),
    ]


ROWS = {"tensorflow": tensorflow_rows, "torch": torch_rows, "jax": jax_rows}


def measure(ours: Call, native: Call) -> tuple[float, float, float]:
    """Return the milliseconds of both, and the ratio; they take turns, call by call."""
    warm = [_seconds(side, 1) for side in (ours, native) * 2]
    calls = max(1, round(SECONDS / min(warm)))
    rounds = []
    for number in range(ROUNDS):
        sides = [ours, native] if number % 2 else [native, ours]
        took = {side: _seconds(side, calls) / calls for side in sides}
        rounds.append((took[ours], took[native]))
    first, second = (1e3 * statistics.median(one[i] for one in rounds) for i in (0, 1))
    return first, second, statistics.median(a / b for a, b in rounds)


def _seconds(call: Call, calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        result = call()
    uk.backends.current().synchronize(*keras.tree.flatten(result))
    return time.perf_counter() - start


def resident_mib() -> float:
    """Return the memory that this process holds; Linux only."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def memory(step: Call, steps: int = 1000) -> list[float]:
    """Return the resident memory after each tenth of the steps, the first left out to warm up."""
    found = []
    for number in range(steps + steps // 10):
        step()
        if number % (steps // 10) == steps // 10 - 1:
            found.append(resident_mib())
    return found


def main() -> None:
    step, hessian = Step(), Hessian()
    rows = ROWS[uk.backend()](step, hessian)
    print(f"{uk.backend()}: MLP 64x784-512-512-10, forward and gradient; hessian of 200 parameters")
    print(f"{'':36s} {'unikeras, ms':>13s} {'native, ms':>11s} {'ratio':>6s} {'goal':>5s}")
    for name, ours, native, goal in rows:
        first, second, ratio = measure(ours, native)
        print(f"{name:36s} {first:13.2f} {second:11.2f} {ratio:6.2f} {goal or '-':>5}", flush=True)
    found = memory(functools.partial(step.tape, step.x, step.y))
    print(
        f"\nmemory over 1,000 eager tape steps: {found[0]:.0f} MiB before, {found[-1]:.0f} after, "
        f"between {min(found):.0f} and {max(found):.0f}"
    )


if __name__ == "__main__":
    main()
