"""Two models on one backend: the layer that differs is named, and nothing else."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import unikeras as uk
from unikeras.errors import ParityError

LAYERS = 20


def deep(name="model", **planted):
    """Return a model of twenty layers; what is given replaces an argument of layer 7, whose class `kind` names."""
    keras.utils.set_random_seed(0)
    kind = planted.pop("kind", "LeakyReLU")
    x = inputs = keras.Input((6, 4), name="x")
    for number in range(LAYERS):
        layer = {"units": 4} if number % 2 else {"negative_slope": 0.3}
        made = "Dense" if number % 2 else "LeakyReLU"
        if number == 7:
            made, layer = kind, {**DEFAULTS[kind], **planted}
        x = getattr(keras.layers, made)(**layer, name=f"layer_{number}")(x)
    model = keras.Model(inputs, x, name=name)
    model.compile("sgd", "mse")
    return model


DEFAULTS = {
    "LeakyReLU": {"negative_slope": 0.3},
    "BatchNormalization": {},
    "LayerNormalization": {},
    "Conv1D": {"filters": 4, "kernel_size": 3, "padding": "same"},
}
PLANTED = {
    "slope": ("LeakyReLU", {"negative_slope": 0.29}, 0, "forward"),
    "padding": ("Conv1D", {"padding": "causal"}, 0, "forward"),
    "epsilon": ("LayerNormalization", {"epsilon": 1e-5}, 0, "forward"),
    "epsilon of moments": ("BatchNormalization", {"epsilon": 1e-5}, 0, "forward"),
    "momentum": ("BatchNormalization", {"momentum": 0.98}, 1, "optimizer"),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_difference_is_named(planted):
    kind, change, steps, phase = PLANTED[planted]
    report = uk.compare.parity(deep(kind=kind), against=deep("other", kind=kind, **change), steps=steps)
    found = report.first
    assert not report.equal
    assert (found.layer, found.phase) == ("layer_7", phase)
    assert [row.layer for row in report.layers if row.differs] == ["layer_7"]
    assert found.sides == ("model", "other")
    a, b = found.values
    assert abs(a - b) > 1e-6
    assert str(found) in report.verdict


def test_the_order_of_gates_is_named():
    def build(name):
        keras.utils.set_random_seed(0)
        layers = [
            keras.layers.Dense(4, name="before"),
            keras.layers.LSTM(3, name="lstm"),
            keras.layers.Dense(2),
        ]
        return keras.Sequential([keras.Input((5, 4)), *layers], name=name)

    model, other = build("model"), build("other")
    lstm = other.get_layer("lstm")
    lstm.set_weights([np.roll(array, 3, axis=-1) for array in lstm.get_weights()])
    report = uk.compare.parity(model, against=other, steps=0)
    assert (report.first.layer, report.first.phase) == ("lstm", "forward")
    assert [row.layer for row in report.layers if row.differs] == ["lstm"]
    assert any("lstm_cell/kernel" in note for note in report.notes)
    assert uk.compare.parity(model, against=other, steps=0, same_weights=True).equal


class _Same(keras.layers.Layer):
    factor = 0.0

    def call(self, x):
        return x + self.factor * (x - keras.ops.stop_gradient(x))


class _WrongBackward(_Same):
    factor = 1.0


def test_equal_models_are_equal_and_a_wrong_gradient_is_not():
    def build(kind):
        keras.utils.set_random_seed(0)
        layers = [
            keras.layers.Dense(2, name="first"),
            kind(name="bend"),
            keras.layers.Dropout(0.5, name="drop"),
        ]
        model = keras.Sequential(
            [keras.Input((2,)), *layers, keras.layers.Dense(2, name="last")], name="model"
        )
        model.compile(keras.optimizers.SGD(0.1), "mse")
        return model

    report = uk.compare.parity(build(_Same), against=build(_Same), steps=3)
    assert report.equal, report
    assert any("drop" in note for note in report.notes)
    assert len(report.sides[0].losses) == 3
    report = uk.compare.parity(build(_Same), against=build(_WrongBackward), steps=1)
    assert (report.first.layer, report.first.phase) == ("bend", "backward")
    assert [row.layer for row in report.layers if row.differs] == ["bend"]


def test_another_learning_rate_shows_in_the_first_step():
    def build(rate):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="only")])
        model.compile(keras.optimizers.SGD(rate), "mse")
        return model

    found = uk.compare.parity(build(0.1), against=build(0.2), steps=2).first
    assert (found.layer, found.phase, found.what, found.step) == ("only", "optimizer", "kernel", 1)


class _Scaled(keras.Model):
    def __init__(self, factor, **options):
        super().__init__(**options)
        self.factor = factor
        self.inner = keras.Sequential(
            [keras.layers.Dense(3, name="one"), keras.layers.Dense(3, name="two")], name="inner"
        )
        self.bend = keras.layers.LeakyReLU(factor, name="bend")

    def call(self, x):
        return self.bend(self.inner(x))

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


def test_a_subclassed_model_is_followed_by_its_calls():
    x = np.linspace(-1, 1, 12).reshape(3, 4).astype("float32")
    models = []
    for factor in (0.3, 0.2):
        keras.utils.set_random_seed(0)
        model = _Scaled(factor)
        model(x)
        models.append(model)
    report = uk.compare.parity(models[0], x, against=models[1], steps=0)
    assert report.first.layer == "bend"
    assert [row.layer for row in report.layers if row.kind] == ["inner/one", "inner/two", "inner", "bend"]


def test_nan_on_both_sides_is_equal_and_said():
    x = np.full((2, 6, 4), np.nan, "float32")
    report = uk.compare.parity(deep(), x, against=deep("other"), steps=0)
    assert report.equal
    assert any("NaN on both" in note for note in report.notes)


def test_assert_parity_raises_with_the_report():
    uk.compare.assert_parity(deep(), against=deep("other"), steps=0)
    with pytest.raises(AssertionError, match="layer_7, forward") as caught:
        uk.compare.assert_parity(deep(), against=deep("other", negative_slope=0.2), steps=0)
    assert isinstance(caught.value, ParityError)
    assert caught.value.report.first.layer == "layer_7"


def test_the_model_is_not_changed():
    model = deep(kind="BatchNormalization")
    before = model.get_weights()
    uk.compare.parity(model, against=model, steps=1)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_losses_of_classes_get_targets_that_fit():
    inputs = keras.Input((4,))
    outputs = {
        "label": keras.layers.Dense(3, activation="softmax", name="label")(inputs),
        "score": keras.layers.Dense(1, activation="sigmoid", name="score")(inputs),
    }
    model = keras.Model(inputs, outputs)
    model.compile("sgd", {"label": "sparse_categorical_crossentropy", "score": "binary_crossentropy"})
    report = uk.compare.parity(model, against=model, steps=1)
    assert report.equal
    assert np.isfinite(report.sides[0].losses).all()
