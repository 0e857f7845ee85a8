"""Models that ask much of a format: dynamic lengths, preprocessing, text, half precision; each backend and format."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import unikeras as uk
from unikeras.backends import _registry
from unikeras.export.request.format_table import FORMATS


def _recurrent():
    import keras
    from keras import layers

    stack = [
        keras.Input((None, 4), name="x"),
        layers.LSTM(8, return_sequences=True),
        layers.Bidirectional(layers.GRU(6)),
        layers.Dense(3, name="y"),
    ]
    return keras.Sequential(stack), lambda n, t: np.random.default_rng(0).normal(size=(n, t, 4)).astype("f4")


def _masked():
    import keras
    from keras import layers

    tokens = keras.Input((None,), dtype="int32", name="tokens")
    hidden = layers.LSTM(6)(layers.Embedding(30, 4, mask_zero=True)(tokens))
    model = keras.Model(tokens, layers.Dense(2, name="y")(hidden))
    return model, lambda n, t: np.random.default_rng(0).integers(1, 30, (n, t)).astype("int32")


def _attending():
    import keras
    from keras import layers

    x = keras.Input((None, 8), name="x")
    hidden = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True))
    model = keras.Model(x, layers.Dense(2, name="y")(hidden))
    return model, lambda n, t: np.random.default_rng(0).normal(size=(n, t, 8)).astype("f4")


def _prepared():
    import keras
    from keras import layers

    rng = np.random.default_rng(0)
    normal, bins = layers.Normalization(), layers.Discretization([-1.0, 0.0, 1.0])
    normal.adapt(rng.normal(2, 3, size=(100, 4)).astype("float32"))
    stack = [keras.Input((4,)), normal, bins, layers.CategoryEncoding(4, output_mode="multi_hot")]
    model = keras.Sequential([*stack, layers.Dense(2, name="y")])
    return model, lambda n, t: rng.normal(2, 3, size=(n, 4)).astype("f4")


def _pictures():
    import keras
    from keras import layers

    stack = [keras.Input((20, 24, 3)), layers.Resizing(16, 16), layers.Rescaling(1 / 255)]
    stack += [layers.Conv2D(2, 3, strides=2, padding="same"), layers.Flatten(), layers.Dense(2, name="y")]
    return keras.Sequential(
        stack
    ), lambda n, t: np.random.default_rng(0).uniform(0, 255, (n, 20, 24, 3)).astype("f4")


def _half():
    import keras
    from keras import layers

    stack = [keras.Input((6,)), layers.Dense(8, "relu", dtype="mixed_float16")]
    stack += [layers.Dense(2, dtype="float32", name="y")]
    return keras.Sequential(stack), lambda n, t: np.random.default_rng(0).normal(size=(n, 6)).astype("f4")


MODELS = {
    "recurrent": _recurrent,
    "masked": _masked,
    "attending": _attending,
    "prepared": _prepared,
    "pictures": _pictures,
    "half": _half,
}


def _export(make, folder, format):
    """Export one model in one format, and say what it predicts at sizes that no verification has seen."""
    import unikeras as uk

    model, inputs = make()
    model.name = "m"
    runs = [inputs(*size) for size in ((1, 1), (2, 7), (5, 33))]
    try:
        report = uk.export_model(model, folder, [format])
    except uk.errors.ExportError as error:
        report = error.report
    (row,) = report.to_dict()["artifacts"]
    return row, [(x, model.predict(x, verbose=0)) for x in runs]


# The models go to the backends in turn.
CELLS = [
    (name, backend, format)
    for name, backend in zip(MODELS, itertools.cycle(_registry.names()), strict=False)
    for format in FORMATS
]


@pytest.mark.rotated("name", "format")
@pytest.mark.parametrize(("name", "backend", "format"), CELLS)
def test_an_artifact_is_right_at_sizes_that_no_verification_has_seen(tmp_path, name, backend, format):
    row, runs = uk.run_on(backend, _export, MODELS[name], str(tmp_path), format)
    assert row["error"] is None
    artifact = uk.load_artifact(row["path"])
    tolerance = 1e-2 if name == "half" else 1e-4
    for x, expected in runs:
        np.testing.assert_allclose(artifact.predict(x), expected, rtol=tolerance, atol=tolerance)


def _export_text(kind, folder):
    """Export a model that reads text, on TensorFlow, and return the report and what it says of a text."""
    import keras
    from keras import layers

    import unikeras as uk

    text = keras.Input((), dtype="string", name="text")
    if kind == "TextVectorization":
        words = layers.TextVectorization(output_sequence_length=5, name="words")
        words.adapt(["the cat sat", "a dog ran"])
        tokens = words(text)
    else:
        tokens = layers.StringLookup(vocabulary=["cat", "dog"], name="words")(keras.ops.expand_dims(text, 1))
    hidden = layers.Flatten()(layers.Embedding(20, 4)(tokens))
    model = keras.Model(text, layers.Dense(2, name="y")(hidden), name="reader")
    x = np.array(["the dog", "zebra", ""], object)
    try:
        report = uk.export_model(model, folder, ["saved_model", "onnx", "litert"])
    except uk.errors.ExportError as error:
        report = error.report
    return report.to_dict(), keras.ops.convert_to_numpy(model(keras.ops.convert_to_tensor(x)))


@pytest.mark.parametrize("kind", ["TextVectorization", "StringLookup"])
def test_text_stays_in_a_saved_model(tmp_path, kind):
    report, expected = uk.run_on("tensorflow", _export_text, kind, str(tmp_path))
    saved, *others = report["artifacts"]
    assert saved["error"] is None
    predicted = uk.load_artifact(saved["path"]).predict(np.array(["the dog", "zebra", ""], object))
    np.testing.assert_allclose(predicted, expected, rtol=1e-5)
    for row in others:
        assert f"layer 'words' ({kind}) looks values up in a table" in row["error"]
        assert "split the model behind it" in row["error"]
