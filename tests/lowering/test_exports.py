"""What the exporters of torch make of a lowered model: they take it, stay dynamic, and write few nodes."""

from __future__ import annotations

import collections
import io
import warnings

import keras
import numpy as np
import pytest
from helpers.agreement import assert_agree, numpy_of, randomize, run, tensor
from keras import layers

from unikeras import lowering

ort = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:torch.*", "ignore::FutureWarning:torch.*")


def dynamic(model):
    """Return torch's name of each axis of open size, input by input."""
    import torch

    return tuple(
        {
            n: torch.export.Dim.DYNAMIC if n else torch.export.Dim("batch")
            for n, size in enumerate(x.shape)
            if size is None
        }
        for x in model.inputs
    )


def onnx_of(module, model, arrays):
    import torch

    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module, tuple(map(tensor, arrays)), dynamic_shapes=dynamic(model), dynamo=True, verbose=False
        )
    file = io.BytesIO()
    program.save(file)
    return program.model_proto, ort.InferenceSession(file.getvalue())


def pt2_of(module, model, arrays):
    import torch

    with torch.no_grad():
        program = torch.export.export(module, tuple(map(tensor, arrays)), dynamic_shapes=dynamic(model))
        file = io.BytesIO()
        torch.export.save(program, file)
    file.seek(0)
    return torch.export.load(file).module()


def traced(module, arrays):
    import torch

    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        script = torch.jit.trace(module, tuple(map(tensor, arrays)))
        file = io.BytesIO()
        torch.jit.save(script, file)
        file.seek(0)
        return torch.jit.load(file)


def assert_onnx_agrees(session, model, arrays, rtol=1e-4, atol=1e-5):
    got = session.run(None, {i.name: array for i, array in zip(session.get_inputs(), arrays, strict=True)})
    for ours, theirs in zip(
        got, numpy_of(model(arrays if len(arrays) > 1 else arrays[0], training=False)), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol)


def counted(proto):
    return collections.Counter(node.op_type for node in proto.graph.node)


def cnn():
    return keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.Conv2D(6, 3, padding="same", activation="relu"),
            layers.Dropout(0.5),
            layers.Conv2D(6, 3),
            layers.AveragePooling2D(2),
            layers.Flatten(),
            layers.Dense(5, activation="softmax"),
        ]
    )


def words_to_classes(cell=layers.LSTM):
    words = keras.Input((None,), dtype="int32")
    x = layers.Embedding(9, 4, mask_zero=True)(words)
    y, *states = cell(5, return_sequences=True, return_state=True)(x)
    return keras.Model(
        words, [layers.Dense(3)(y), layers.Dense(2)(states[-1]), cell(4, go_backwards=True)(y)]
    )


def attention():
    words = keras.Input((None,), dtype="int32")
    x = layers.Embedding(9, 8, mask_zero=True)(words)
    y = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True))
    return keras.Model(words, layers.Dense(3)(layers.Dense(16, activation="gelu")(y)))


def sequences():
    return keras.Sequential(
        [
            keras.Input((None, 4)),
            layers.LSTM(5, return_sequences=True),
            layers.Bidirectional(layers.GRU(3)),
            layers.Dense(2),
        ]
    )


def segments():
    x = keras.Input((None, None, 3))
    y = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(x)
    y = layers.Concatenate()(
        [
            layers.UpSampling2D()(layers.DepthwiseConv2D(3, padding="same")(y)),
            layers.Conv2DTranspose(3, 3, strides=2, padding="same")(y),
        ]
    )
    return keras.Model(x, layers.Conv2D(2, 1, activation="softmax")(y))


def films():
    return keras.Sequential(
        [keras.Input((None, 6, 6, 2)), layers.ConvLSTM2D(3, 3, padding="same"), layers.Flatten()]
    )


def of_words(batch, length):
    array = np.random.default_rng(batch).integers(0, 9, (batch, length)).astype("int32")
    return [array]


MODELS = {
    "cnn": (cnn, lambda b, n, f: [f(b, 16, 16, 3)]),
    "lstm under a mask": (words_to_classes, lambda b, n, f: of_words(b, n)),
    "gru under a mask": (lambda: words_to_classes(layers.GRU), lambda b, n, f: of_words(b, n)),
    "gru that no kernel knows": (
        lambda: words_to_classes(lambda *a, **k: layers.GRU(*a, reset_after=False, **k)),
        lambda b, n, f: of_words(b, n),
    ),
    "attention": (attention, lambda b, n, f: of_words(b, n)),
    "sequences": (sequences, lambda b, n, f: [f(b, n, 4)]),
    "films": (films, lambda b, n, f: [f(b, n, 6, 6, 2)]),
    "segments": (segments, lambda b, n, f: [f(b, 2 * n, 2 * n + 4, 3)]),
}
SIZES = [(1, 3), (5, 12), (2, 6)]


@pytest.mark.parametrize("name", MODELS)
def test_onnx(name, floats):
    make, batch = MODELS[name]
    model = randomize(make())
    _, session = onnx_of(lowering.to_torch(model), model, batch(3, 7, floats))
    for size in SIZES:
        assert_onnx_agrees(session, model, batch(*size, floats))


@pytest.mark.parametrize("name", MODELS)
def test_torchscript(name, floats):
    make, batch = MODELS[name]
    model = randomize(make())
    script = traced(lowering.to_torch(model), batch(3, 7, floats))
    for size in SIZES:
        arrays = batch(*size, floats)
        assert_agree(script, model, arrays if len(arrays) > 1 else arrays[0])


@pytest.mark.parametrize("name", MODELS)
def test_pt2(name, floats):
    make, batch = MODELS[name]
    model = randomize(make())
    module = pt2_of(lowering.to_torch(model, recurrence="scan"), model, batch(3, 7, floats))
    for size in SIZES:
        arrays = batch(*size, floats)
        assert_agree(module, model, arrays if len(arrays) > 1 else arrays[0])


def test_convolutions_follow_one_another_without_transposes(floats):
    model = randomize(cnn())
    proto, _ = onnx_of(lowering.to_torch(model), model, [floats(3, 16, 16, 3)])
    found = counted(proto)
    assert found["Conv"] == 3
    assert found["Transpose"] <= 2
    kinds = [node.op_type for node in proto.graph.node]
    first, last = kinds.index("Conv"), len(kinds) - 1 - kinds[::-1].index("Conv")
    assert "Transpose" not in kinds[first:last]


def test_recurrent_layers_are_operators(floats):
    model = randomize(sequences())
    proto, _ = onnx_of(lowering.to_torch(model), model, [floats(3, 7, 4)])
    found = counted(proto)
    assert (found["LSTM"], found["GRU"]) == (1, 2)
    assert not {"Loop", "Scan", "If"} & set(found)
    model = randomize(words_to_classes())
    proto, _ = onnx_of(lowering.to_torch(model), model, of_words(3, 7))
    assert counted(proto)["LSTM"] == 2


def test_dense_layers_are_products(floats):
    model = randomize(
        keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="relu"), layers.Dense(2)])
    )
    proto, _ = onnx_of(lowering.to_torch(model), model, [floats(3, 4)])
    assert counted(proto) == {"Gemm": 2, "Relu": 1}


def test_the_comparison_can_fail(floats):
    model = randomize(cnn())
    module = lowering.to_torch(model)
    list(module.parameters())[-1].data[0] += 0.5
    assert run(module, floats(1, 16, 16, 3))[0].shape == (1, 5)
    with pytest.raises(AssertionError, match="Mismatched"):
        assert_agree(module, model, floats(1, 16, 16, 3))
