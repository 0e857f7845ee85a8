"""Graphs: shared and nested parts, structures of inputs, registered layers, and what is refused."""

from __future__ import annotations

import pickle
import subprocess
import sys

import keras
import numpy as np
import pytest
import torch
from helpers.agreement import assert_agree, randomize
from keras import layers

from unikeras import lowering
from unikeras.errors import ArgumentValueError, ExportError


def test_a_shared_layer_is_one_module(lowered, floats):
    a, b = keras.Input((4,)), keras.Input((4,))
    dense = layers.Dense(3)
    module = lowered(
        keras.Model([a, b], layers.Subtract()([dense(a), dense(b)])), [floats(2, 4), floats(2, 4)]
    )
    assert len(list(module.parameters())) == 2


def test_a_shared_model_is_one_set_of_weights(lowered, floats):
    inner = keras.Sequential(
        [keras.Input((6, 6, 2)), layers.Conv2D(3, 3), layers.BatchNormalization(), layers.Flatten()]
    )
    a, b = keras.Input((6, 6, 2)), keras.Input((6, 6, 2))
    module = lowered(
        keras.Model([a, b], layers.Dot(1)([inner(a), inner(b)])), [floats(2, 6, 6, 2), floats(2, 6, 6, 2)]
    )
    assert len(list(module.parameters())) == 4


def test_models_in_models(lowered, floats):
    x = keras.Input((4,))
    inner = keras.Model(x, {"a": layers.Dense(3)(x), "b": [layers.Dense(2)(x), x]})
    outer = keras.Input((4,))
    found = inner(layers.Dense(4)(outer))
    middle = keras.Model(outer, layers.Concatenate()([found["a"], *found["b"]]))
    lowered(keras.Sequential([keras.Input((4,)), middle, layers.Dense(2)]), floats(2, 4))


def test_inputs_and_outputs_of_any_structure(lowered, floats):
    inputs = {"words": keras.Input((3,), name="words"), "images": keras.Input((4, 4, 2), name="images")}
    y = layers.Conv2D(2, 3)(inputs["images"])
    outputs = {"z": [y, layers.Flatten()(y)], "a": layers.Dense(2)(inputs["words"])}
    module = lowered(keras.Model(inputs, outputs), {"words": floats(2, 3), "images": floats(2, 4, 4, 2)})
    assert "def forward(self, images, words)" in module.code


def test_an_input_that_goes_straight_out(lowered, floats):
    x = keras.Input((4, 4, 2))
    lowered(keras.Model(x, [x, layers.Conv2D(2, 3)(x), layers.Dropout(0.5)(x)]), floats(2, 4, 4, 2))


def test_a_part_of_a_graph(lowered, floats):
    x = keras.Input((4,))
    y = layers.Dense(3)(x)
    keras.Model(x, layers.Dense(2)(y))
    lowered(keras.Model(y, layers.Dense(2)(y)), floats(2, 3))


def test_the_module_is_independent_of_the_model_or_borrows(floats):
    model = randomize(keras.Sequential([keras.Input((4,)), layers.Dense(3)]))
    x = floats(2, 4)
    for copy in (True, False):
        assert_agree(lowering.to_torch(model, copy=copy), model, x)
    module = lowering.to_torch(model)
    before = module(torch.tensor(x))
    randomize(model, seed=5)
    assert torch.equal(module(torch.tensor(x)), before)


def test_the_module_is_ready_and_trainable():
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3), layers.BatchNormalization(), layers.Dense(1)]
    )
    model.layers[-1].trainable = False
    module = lowering.to_torch(model)
    assert not module.training
    trainable = [p.requires_grad for p in module.parameters()]
    assert trainable == [True] * 4 + [False] * 2


def test_a_saved_module_loads_without_keras(tmp_path, floats):
    words = keras.Input((None,), dtype="int32")
    x = layers.GRU(3, return_sequences=True)(layers.Embedding(9, 4, mask_zero=True)(words))
    model = randomize(
        keras.Model(
            words,
            layers.GlobalAveragePooling1D()(layers.Bidirectional(layers.LSTM(3, return_sequences=True))(x)),
        )
    )
    module = lowering.to_torch(model)
    file = tmp_path / "module.pickle"
    file.write_bytes(pickle.dumps(module))
    code = f"""
import pickle, sys, torch
module = pickle.load(open({str(file)!r}, "rb"))
print(module(torch.tensor([[1, 2, 0]], dtype=torch.int32)).shape, "keras" in sys.modules)
"""
    printed = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert printed.stdout.split("\n")[0] == "torch.Size([1, 6]) False"


class Scaled(layers.Layer):
    """A layer of a user."""

    def build(self, shape):
        self.scale = self.add_weight(shape=shape[-1:], name="scale")

    def call(self, x, mask=None):
        return x * self.scale


class Unknown(Scaled):
    """Another, of which nobody says what it is."""


class Subclassed(keras.Model):
    """A model without a graph."""

    def __init__(self, **options):
        super().__init__(**options)
        self.dense = layers.Dense(2)

    def call(self, x):
        return self.dense(x)


def test_a_registered_layer(lowered, floats):
    class Multiply(torch.nn.Module):
        def __init__(self, scale):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.tensor(scale))

        def forward(self, x):
            return x * self.scale

    @lowering.register(Scaled)
    def scaled(layer):
        return Multiply(keras.ops.convert_to_numpy(layer.scale))

    x = keras.Input((4, 4, 3))
    layer = Scaled()
    module = lowered(keras.Model(x, layer(layer(layers.Conv2D(3, 2)(x)))), floats(2, 4, 4, 3))
    assert len(list(module.parameters())) == 3
    with pytest.raises(lowering.CannotLower, match="Unknown has no rule"):
        lowering.to_torch(keras.Sequential([keras.Input((3,)), Unknown()]))


def test_all_that_is_refused_is_named_at_once():
    x = keras.Input((4, 4))
    y = Unknown(name="mine")(layers.Lambda(lambda t: t, name="function")(x))
    y = layers.LSTM(3, activation=keras.activations.gelu, name="odd", return_sequences=True)(y)
    y = keras.Sequential([keras.Input((4, 3)), Unknown(name="inside")], name="part")(y)
    y = keras.ops.fft((y, y))[0]
    with pytest.raises(lowering.CannotLower) as caught:
        lowering.to_torch(keras.Model(x, Subclassed(name="whole")(layers.Flatten()(y)), name="model"))
    reasons = caught.value.reasons
    assert isinstance(caught.value, ExportError)
    assert {name for name in reasons if "fft" not in name} == {
        "mine",
        "function",
        "odd",
        "part.inside",
        "whole",
    }
    assert len(reasons) == 6
    assert "activation 'gelu'" in reasons["odd"]
    for name in reasons:
        assert f"\n  {name}: " in str(caught.value)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (lambda: Subclassed(), "Keras keeps no graph"),
        (lambda: keras.Sequential([layers.Dense(2)]), "has no input shape yet"),
        (
            lambda: keras.Sequential([keras.Input((3, 2), batch_size=2), layers.LSTM(2, stateful=True)]),
            "is stateful",
        ),
        (
            lambda: keras.Sequential([keras.Input((3, 2)), layers.GRU(2, dtype="mixed_bfloat16")]),
            "computes in bfloat16",
        ),
        (
            lambda: keras.Sequential([keras.Input((3, 2, 4)), layers.BatchNormalization(axis=2)]),
            "normalizes axis 2 of 4",
        ),
        (
            lambda: keras.Sequential([keras.Input((4, 4, 1)), layers.UpSampling2D(interpolation="bicubic")]),
            "interpolates by 'bicubic'",
        ),
        (
            lambda: keras.Sequential([keras.Input((3,)), layers.Dense(2, activation=lambda x: x)]),
            "activation '<lambda>'",
        ),
    ],
)
def test_a_refusal_says_why(model, reason):
    with pytest.raises(lowering.CannotLower, match=reason):
        lowering.to_torch(model())


def test_an_unknown_recurrence_is_refused():
    with pytest.raises(ArgumentValueError, match="'kernel' or 'scan'"):
        lowering.to_torch(keras.Sequential([keras.Input((3,)), layers.Dense(2)]), recurrence="loop")


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16", "bfloat16"])
def test_dtype_policies(policy, lowered, floats):
    keras.config.set_dtype_policy(policy)
    try:
        x = keras.Input((6, 6, 3))
        y = layers.BatchNormalization()(layers.Conv2D(4, 3, activation="relu")(x))
        y = layers.LayerNormalization()(layers.Reshape((-1, 4))(y) * 2)
        y = layers.Dense(3, activation="softmax", dtype="float32")(layers.GlobalAveragePooling1D()(y))
        model = keras.Model(x, y)
    finally:
        keras.config.set_dtype_policy("float32")
    x = keras.ops.convert_to_numpy(keras.ops.cast(floats(2, 6, 6, 3), model.input.dtype))
    lowered(model, x, rtol=3e-2, atol=3e-2)


def test_inputs_that_are_cast(lowered):
    inner = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    x = keras.Input((3,), dtype="int32")
    lowered(keras.Model(x, inner(x)), np.array([[1, 2, 3]], "int32"))
