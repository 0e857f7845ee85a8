"""The training step of recurrent classifiers: our layers over Keras' own, and on PyTorch over `nn.LSTM` by hand.

KERAS_BACKEND=jax python benchmarks/recurrent.py [lstm gru masked]

Two layers of 128 units on 28 x 28, batch 64, Adam and accuracy, in `uk.function` with `uk.GradientTape`; interleaved in
one run. Prints milliseconds per step (medians), the ratio of the medians and the median of the rounds' ratios. Read
ratios: milliseconds depend on what else the machine does.
"""

from __future__ import annotations

import importlib
import statistics
import sys
from importlib.util import find_spec

import keras
from keras import layers
from models import data
from runs import looped, ours, parts
from timing import measured, ratio

import unikeras as uk

BATCH, STEPS, ROUNDS = 64, 10, 15


def classifier(layer, masked=False):
    """Return a function that makes the model out of a layer class."""
    first = [layers.Masking(0.0)] if masked else []

    def make() -> keras.Model:
        recurrent = [layer(128, return_sequences=True), layer(128)]
        return keras.Sequential([keras.Input((28, 28)), *first, *recurrent, layers.Dense(10)])

    return make


def by_hand(kind):
    """Return the framework's own step over its own layers, or None."""
    name = f"native.{uk.backend()}_recurrent"
    if not find_spec(name):
        return None
    native = importlib.import_module(name)
    return native.training(native.classifier(kind))


def compare(name: str) -> None:
    kind = "GRU" if name == "gru" else "LSTM"
    masked = name == "masked"
    makes = [classifier(getattr(library.layers, kind), masked) for library in (uk, keras)]
    x, y = data(makes[0](), STEPS)
    if masked:
        x[:, 20:] = 0.0
    steps = [ours(*parts(make())) for make in makes]
    hand = None if masked else by_hand(kind)
    steps += [hand] if hand else []
    runs = [looped(step, x, y) for step in steps]
    _, times = measured(runs, ROUNDS)
    per_step = "  ".join(f"{1e3 * statistics.median(t) / STEPS:8.2f}" for t in times)
    ratios = "  ".join(f"{ratio(times[0], other):>15s}" for other in times[1:])
    print(f"{name:7s} {per_step}   {ratios}", flush=True)


def main() -> None:
    wanted = sys.argv[1:] or ["lstm", "gru", "masked"]
    print(f"{uk.backend()}: ms per step, batch {BATCH}; ratios of medians (medians of ratios)")
    print("          unikeras     Keras  [by hand]   / Keras          [/ by hand]")
    for name in wanted:
        compare(name)


if __name__ == "__main__":
    main()
