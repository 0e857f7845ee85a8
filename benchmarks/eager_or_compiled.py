"""One native train step, eager and compiled, in each framework: what tf.function, torch.compile and jax.jit change.

python benchmarks/eager_or_compiled.py --widths 32,1024 --frameworks torch,jax --rounds 20 --threads 1 --out FILE

The step is a network of two layers, its gradient and SGD, written with each framework's own functions. Frameworks run
in processes of their own; in a process eager and compiled steps take turns. A time is the CPU's, of all threads, for
one step, the median of the rounds; `first_s` is the wall time of the first call, which traces and compiles.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from timing import clocked, environment, hold_to, machine, turns

FRAMEWORKS = ("tensorflow", "torch", "jax")
BATCH, INPUTS, CLASSES, RATE, STEPS = 32, 64, 10, 0.1, 20
Step = Callable[[], Any]


def main() -> None:
    options = _options()
    if options.child:
        hold_to(options.threads)
        print(json.dumps(_measured(options.child, options.widths, options.rounds)))
        return
    results = [row for framework in options.frameworks for row in _ask(framework, options)]
    document = {
        "command": " ".join(["python benchmarks/eager_or_compiled.py", *_shown(options)]),
        "machine": machine(options.threads),
        "batch": BATCH,
        "rounds": options.rounds,
        "results": results,
    }
    text = json.dumps(document, indent=2) + "\n"
    if options.out:
        options.out.write_text(text)
    print(text, end="")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    installed = ",".join(name for name in FRAMEWORKS if find_spec(name))
    parser.add_argument("--frameworks", type=lambda text: text.split(","), default=installed.split(","))
    parser.add_argument(
        "--widths", type=lambda text: [int(one) for one in text.split(",")], default=[32, 1024]
    )
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, help="threads of each framework; by default its own choice")
    parser.add_argument("--out", type=Path, help="a JSON file")
    parser.add_argument("--child", choices=FRAMEWORKS, help=argparse.SUPPRESS)
    return parser.parse_args()


def _shown(options: argparse.Namespace) -> list[str]:
    threads = [f"--threads {options.threads}"] if options.threads else []
    widths = ",".join(map(str, options.widths))
    return [
        f"--widths {widths} --rounds {options.rounds}",
        *threads,
        *([f"--out {options.out}"] if options.out else []),
    ]


def _ask(framework: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    print(framework, file=sys.stderr, flush=True)
    command = [sys.executable, __file__, "--child", framework, *" ".join(_shown(options)).split()]
    settings = {**os.environ, **environment(options.threads)}
    done = subprocess.run(command, env=settings, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def _measured(framework: str, widths: list[int], rounds: int) -> list[dict[str, Any]]:
    rows = []
    for width in widths:
        steps = {"tensorflow": _in_tensorflow, "torch": _in_torch, "jax": _in_jax}[framework](*_values(width))
        first = {name: clocked(step)[0] for name, step in steps.items()}
        for step in steps.values():
            step()
        times = turns([_repeated(step) for step in steps.values()], rounds, clocked)
        cpu = {
            name: [1e3 * one[1] / STEPS for one in of_step]
            for name, of_step in zip(steps, times, strict=True)
        }
        rows.append(
            {
                "framework": framework,
                "width": width,
                "ms": {name: statistics.median(of_step) for name, of_step in cpu.items()},
                "quartiles_ms": {
                    name: np.percentile(of_step, [25, 75]).tolist() for name, of_step in cpu.items()
                },
                "first_s": first,
            }
        )
    return rows


def _repeated(step: Step) -> Step:
    def run() -> None:
        for _ in range(STEPS):
            step()

    return run


def _values(width: int) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Return weights, inputs and labels."""
    rng = np.random.default_rng(0)
    shapes = ((INPUTS, width), (width,), (width, CLASSES), (CLASSES,))
    weights = [0.1 * rng.normal(size=shape).astype("float32") for shape in shapes]
    return weights, rng.normal(size=(BATCH, INPUTS)).astype("float32"), rng.integers(0, CLASSES, BATCH)


def _in_tensorflow(weights: list[np.ndarray], x: np.ndarray, y: np.ndarray) -> dict[str, Step]:
    import tensorflow as tf

    variables = [tf.Variable(w) for w in weights]
    inputs, labels = tf.constant(x), tf.constant(y)

    def step(inputs: Any, labels: Any) -> Any:
        with tf.GradientTape() as tape:
            w1, b1, w2, b2 = variables
            logits = tf.nn.relu(inputs @ w1 + b1) @ w2 + b2
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
            variable.assign_sub(RATE * gradient)
        return loss

    compiled = tf.function(step)
    with_xla = tf.function(step, jit_compile=True)
    return {
        "eager": lambda: step(inputs, labels).numpy(),
        "compiled": lambda: compiled(inputs, labels).numpy(),
        "XLA": lambda: with_xla(inputs, labels).numpy(),
    }


def _in_torch(weights: list[np.ndarray], x: np.ndarray, y: np.ndarray) -> dict[str, Step]:
    import torch

    parameters = [torch.tensor(w, requires_grad=True) for w in weights]
    inputs, labels = torch.tensor(x), torch.tensor(y)

    def loss_of(inputs: Any, labels: Any) -> Any:
        w1, b1, w2, b2 = parameters
        logits = torch.relu(inputs @ w1 + b1) @ w2 + b2
        return torch.nn.functional.cross_entropy(logits, labels)

    compiled = torch.compile(loss_of)
    optimizer = torch.optim.SGD(parameters, RATE)

    def step(compute: Callable[..., Any]) -> float:
        optimizer.zero_grad()
        loss = compute(inputs, labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return {"eager": lambda: step(loss_of), "compiled": lambda: step(compiled)}


def _in_jax(weights: list[np.ndarray], x: np.ndarray, y: np.ndarray) -> dict[str, Step]:
    import jax
    import jax.numpy as jnp

    inputs, labels = jnp.asarray(x), jnp.asarray(y)
    values = {"eager": [*map(jnp.asarray, weights)], "compiled": [*map(jnp.asarray, weights)]}

    def loss_of(parameters: Any, inputs: Any, labels: Any) -> Any:
        w1, b1, w2, b2 = parameters
        logits = jax.nn.relu(inputs @ w1 + b1) @ w2 + b2
        return -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(BATCH), labels])

    def step(parameters: Any, inputs: Any, labels: Any) -> Any:
        loss, gradients = jax.value_and_grad(loss_of)(parameters, inputs, labels)
        return loss, [p - RATE * g for p, g in zip(parameters, gradients, strict=True)]

    def run(name: str, step: Callable[..., Any]) -> float:
        loss, values[name] = step(values[name], inputs, labels)
        return float(loss)

    compiled = jax.jit(step)
    return {"eager": lambda: run("eager", step), "compiled": lambda: run("compiled", compiled)}


if __name__ == "__main__":
    main()
