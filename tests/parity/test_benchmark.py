"""`uk.compare.benchmark` over all backends and formats at once."""

from __future__ import annotations

import keras

import unikeras as uk


def test_every_backend_and_an_artifact_get_rows():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)], name="tiny")
    result = uk.compare.benchmark(model, artifacts=["onnx"], batch_sizes=[2], rounds=1, seconds=0.001)
    assert [row.error for row in result.rows] == [None] * len(result.rows)
    backends = uk.backends.available()
    own = [(row.task, row.name) for row in result.rows if row.way in ("unikeras", "artifact")]
    assert own == [("train", name) for name in backends] + [("predict", name) for name in [*backends, "onnx"]]
    assert len(result.advice) == 2
