"""A checkpoint that one backend wrote is restored under another, bit by bit."""

from __future__ import annotations

import numpy as np
import pytest

import unikeras as uk


def make():
    """Return what a checkpoint holds: layers that frameworks lay out differently, and a variable of every dtype."""
    import keras
    import numpy as np
    from keras import layers

    inputs = keras.Input(batch_shape=(2, 8, 8, 3))
    h = layers.BatchNormalization()(layers.Conv2D(4, 3, name=None)(inputs))
    h = layers.DepthwiseConv2D(2)(h)
    h = layers.Reshape((-1, 5))(layers.Conv2DTranspose(5, 2, strides=2)(h))
    h = layers.LSTM(4, return_sequences=True)(h)
    h = layers.Bidirectional(layers.GRU(3, return_sequences=True))(h)
    h = layers.MultiHeadAttention(2, 3)(h, h)
    h = layers.GRU(4, stateful=True)(layers.Dropout(0.2, seed=7)(h))
    model = keras.Model(inputs, layers.Dense(2, dtype="bfloat16")(h))
    model.compile(keras.optimizers.Adam(0.01, use_ema=True, gradient_accumulation_steps=2), "mse")
    dtypes = ("bool", "int8", "uint8", "int32", "uint32", "float16", "bfloat16")
    own = {d: keras.Variable(np.zeros((3, 2)), dtype=d, trainable=False) for d in dtypes}
    return model, {"model": model, "own": own}


def values(parts):
    import keras
    import numpy as np

    model, own = parts["model"], parts["own"]
    states = [state for layer in model.layers if getattr(layer, "stateful", False) for state in layer.states]
    found = [*model.variables, *model.optimizer.variables, *states, *own.values()]
    return [np.asarray(keras.ops.convert_to_numpy(v)).astype("float64") for v in found]


def save(folder):
    import numpy as np

    import unikeras as uk

    model, parts = make()
    uk.training.Checkpointer(folder, **parts).save()  # makes the slots
    rng = np.random.default_rng(0)
    for variable in [*model.variables, *model.optimizer.variables, *parts["own"].values()]:
        high = 2 if variable.dtype == "bool" else 100
        variable.assign(rng.integers(0, high, tuple(variable.shape)))
    for layer in model.layers:
        for state in layer.states if getattr(layer, "stateful", False) else []:
            state.assign(rng.normal(size=tuple(state.shape)))
    uk.training.Checkpointer(folder, **parts).save({"val_loss": 0.5})
    return values(parts)


def restore(folder):
    import keras

    import unikeras as uk

    keras.layers.Dense(1), keras.layers.Conv2D(1, 1)  # so that names differ
    parts = make()[1]
    path = uk.training.Checkpointer(folder, **parts).restore()
    return path.name, values(parts)


@pytest.mark.parametrize("writer", uk.backends.available())
def test_a_checkpoint_is_restored_under_every_backend(tmp_path, writer):
    saved = uk.run_on(writer, save, str(tmp_path))
    for reader in uk.backends.available():
        name, found = uk.run_on(reader, restore, str(tmp_path))
        assert name == "checkpoint-00000002.ukckpt"
        assert len(found) == len(saved)
        for one, other in zip(found, saved, strict=True):
            np.testing.assert_array_equal(one, other)


def save_wide(folder):
    import keras
    import numpy as np

    import unikeras as uk

    wide = [
        keras.Variable(np.array([1 / 3, 2.0**-1060]), dtype="float64"),
        keras.Variable(1 / 3, dtype="float64"),
    ]
    uk.training.Checkpointer(folder, wide=wide).save()


def restore_wide(folder):
    import keras
    import numpy as np

    import unikeras as uk

    wide = [keras.Variable(np.zeros(2), dtype="float64"), keras.Variable(0.0, dtype="float64")]
    try:
        uk.training.Checkpointer(folder, wide=wide).restore()
    except uk.errors.CheckpointMismatch as error:
        return error.differences
    return [keras.ops.convert_to_numpy(v).tolist() for v in wide]


@pytest.mark.parametrize(
    ("writer", "reader"), [("tensorflow", "torch"), ("torch", "tensorflow"), ("torch", "jax")]
)
def test_float64_travels_or_is_named(tmp_path, writer, reader):
    uk.run_on(writer, save_wide, str(tmp_path))
    found = uk.run_on(reader, restore_wide, str(tmp_path))
    if reader == "jax":  # which has none by default
        assert [line.partition(" is ")[2] for line in found] == [
            "float32[2] here and float64[2] in the checkpoint",
            "float32[] here and float64[] in the checkpoint",
        ]
    else:
        assert found == [[1 / 3, 2.0**-1060], 1 / 3]
