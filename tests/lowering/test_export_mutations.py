"""Mistakes in the lowering: the verification catches each of them in each format, and nothing where there is none."""

from __future__ import annotations

import re

import keras
import numpy as np
import pytest
import torch
from helpers.agreement import randomize
from keras import layers

import unikeras as uk
from unikeras.errors import ExportError, ExportMismatch
from unikeras.export import _export_model as _export
from unikeras.export.writers import lowered
from unikeras.lowering import _rule_registry as _registry
from unikeras.lowering._layouts import Layout
from unikeras.lowering.modules.recurrent_cells import Recurrence
from unikeras.lowering.rules import _dense, _recurrent_kernels
from unikeras.lowering.rules._activations import described

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

# `torch.export` itself refuses a program that takes other lengths than it computes: no values to compare.
NO_FILE = ("freeze_time", "pt2")

FORMATS = {"onnx": ".onnx", "torchscript": ".pt", "pt2": ".pt2"}


def pair():
    x = {"b": keras.Input((4,), name="b"), "a": keras.Input((4,), name="a")}
    hidden = layers.Dropout(0.5)(layers.Subtract()([layers.Dense(4)(x["b"]), x["a"]]))
    return keras.Model(x, layers.Dense(3, name="last")(hidden))


def recurrent(layer):
    return keras.Sequential([keras.Input((None, 3)), layer(4), layers.Dense(2, name="last")])


def picture():
    x = [keras.Input((5, 6, 2)), layers.Conv2D(3, 2), layers.Flatten(), layers.Dense(2, name="last")]
    return keras.Sequential(x)


def together():
    """All that is mistaken below, in one model without a mistake."""
    x = {name: keras.Input(shape, name=name) for name, shape in {"b": (None, 3), "a": (5, 6, 2)}.items()}
    seen = layers.Dense(4)(layers.Flatten()(layers.Conv2D(3, 2)(x["a"])))
    heard = layers.LSTM(4)(layers.GRU(5, return_sequences=True)(x["b"]))
    hidden = layers.Dropout(0.5)(layers.Subtract()([seen, heard]))
    return keras.Model(x, {"last": layers.Dense(3, name="last")(hidden), "heard": heard})


def drop_a_bias(patch):
    linear = _dense.linear
    patch.setattr(_dense, "linear", lambda layer, kernel, _, *rest: linear(layer, kernel, None, *rest))


def leave_dropout_on(patch):
    # Not by torch's own dropout, which ONNX runs as what it is in inference.
    def halved(x):
        return 2 * x * (torch.rand_like(x) > 0.5)

    patch.setitem(_registry._RULES, layers.Dropout, lambda call: call.x.map(halved))


def swap_two_inputs(patch):
    place = lowered.put_together
    patch.setattr(lowered, "put_together", lambda structure, numbers: place(structure, numbers[::-1]))


def freeze_time(patch):
    # At the length that the tracers see.
    whole = Recurrence.forward
    patch.setattr(Recurrence, "forward", lambda self, x, **rest: whole(self, x[:, :8], **rest))


def mix_gates_of_an_lstm(patch):
    def forget_first(value, axis):
        i, f, g, o = value.chunk(4, axis)
        return torch.cat([f, i, g, o], axis)

    patch.setattr(_recurrent_kernels, "_same_order", forget_first)


def mix_gates_of_a_gru(patch):
    patch.setattr(_recurrent_kernels, "_gates_first", _recurrent_kernels._same_order)


def transpose_flatten(patch):
    patch.setitem(
        _registry._RULES,
        layers.Flatten,
        lambda call: described(call, call.x.to(Layout.CHANNELS_FIRST).flatten(1)),
    )


MUTATIONS = {
    drop_a_bias: pair,
    leave_dropout_on: pair,
    swap_two_inputs: pair,
    freeze_time: lambda: recurrent(layers.LSTM),
    mix_gates_of_an_lstm: lambda: recurrent(layers.LSTM),
    mix_gates_of_a_gru: lambda: recurrent(layers.GRU),
    transpose_flatten: picture,
}

NAMED = re.compile(
    r"output 'last' at batch [138] is (\S+) in the model and (\S+) in the artifact at index \(\d"
)


@pytest.fixture
def mistaken(monkeypatch):
    """Make a mistake, once the rules are there."""
    _registry.find(layers.Dense)
    return lambda mutation: mutation(monkeypatch)


@pytest.fixture
def lowering_alone(monkeypatch):
    """Leave no route but the lowering's."""
    usable = _export.usable_writers
    monkeypatch.setattr(
        _export, "usable_writers", lambda *args: [one for one in usable(*args) if "lowering" in one.name]
    )


@pytest.mark.rotated("mutation", "format")
@pytest.mark.usefixtures("lowering_alone")
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_a_mistake_is_caught(tmp_path, mistaken, mutation, format):
    model = randomize(MUTATIONS[mutation]())
    mistaken(mutation)
    with pytest.raises(ExportError) as caught:
        uk.export_model(model, tmp_path / f"m{FORMATS[format]}")
    assert list(tmp_path.iterdir()) == []
    if (mutation.__name__, format) == NO_FILE:
        assert "dynamic axes are" in str(caught.value)
        return
    assert isinstance(caught.value, ExportMismatch), str(caught.value)
    ours, theirs = NAMED.search(str(caught.value)).groups()
    assert abs(float(ours) - float(theirs)) > 1e-5


@pytest.mark.rotated("seed", parts=4)
@pytest.mark.usefixtures("lowering_alone")
@pytest.mark.parametrize("seed", range(5))
def test_no_alarm_where_there_is_no_mistake(tmp_path, seed):
    model = randomize(together(), seed)
    report = uk.export_model(model, tmp_path, list(FORMATS))
    assert not any(NAMED.search(one.reason) for row in report.artifacts for one in row.passed_over)
    assert all(row.max_error < 1e-5 for row in report.artifacts)


@pytest.mark.parametrize("format", FORMATS)
def test_a_mistaken_route_is_passed_over(tmp_path, mistaken, format):
    model, path = randomize(pair()), tmp_path / f"m{FORMATS[format]}"
    mistaken(drop_a_bias)
    (row,) = uk.export_model(model, path).artifacts
    assert "lowering" not in row.route
    assert row.passed_over[0].route == "torch lowering"
    assert all("lowering" in one.route and NAMED.search(one.reason) for one in row.passed_over)
    x = {name: np.random.default_rng(1).normal(size=(4, 4)).astype("float32") for name in "ab"}
    np.testing.assert_allclose(uk.load_artifact(path).predict(x), model.predict(x, verbose=0), atol=1e-5)
