"""The generator draws pictures, and both networks move."""

import keras
import numpy as np
from data import load
from model import NOISE, build


def test_noise_becomes_pictures():
    drawn = keras.ops.convert_to_numpy(build()(np.zeros((3, NOISE), "float32")))
    assert drawn.shape == (3, 8, 8, 1)
    assert np.abs(drawn).max() <= 1


def test_an_epoch_changes_both_networks():
    training, _ = load()
    model = build()
    before = [part.get_weights() for part in (model.generator, model.critic)]
    history = model.fit(training, epochs=1, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    for part, weights in zip((model.generator, model.critic), before, strict=True):
        assert not np.array_equal(part.get_weights()[0], weights[0])
