"""Tensors that consist of others, sparse ones, go through compiled steps as dense ones do."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras.src.backend import SUPPORTS_SPARSE_TENSORS

import unikeras as uk

pytestmark = [
    pytest.mark.usefixtures("backend"),
    pytest.mark.filterwarnings("ignore:Your input ran out of data"),  # as each finite generator does
    pytest.mark.skipif(not SUPPORTS_SPARSE_TENSORS, reason="Keras has no sparse tensors on this backend"),
]
scipy_sparse = pytest.importorskip("scipy.sparse")

BATCHES = 12


def _batches(convert):
    rng = np.random.default_rng(0)
    for seed in range(BATCHES):
        x = scipy_sparse.random(4, 6, density=0.25, dtype="float32", random_state=seed)
        yield convert(x), rng.normal(size=(4, 2)).astype("float32")


def _model(steps):
    class Counting(uk.Model):
        def train_step(self, data):
            steps.append(data)
            return super().train_step(data)

    inputs = keras.Input((6,), sparse=True)
    outputs = keras.layers.Dense(2, kernel_initializer="ones", use_bias=False)(inputs)
    model = Counting(inputs, outputs)
    model.compile("adagrad", "mse")
    return model


def test_a_compiled_fit_on_sparse_batches_is_the_one_on_dense_batches():
    steps: list = []
    sparse, dense = _model(steps), _model([])
    sparse.fit(_batches(lambda x: x), shuffle=False, verbose=0)
    dense.fit(_batches(lambda x: x.toarray()), shuffle=False, verbose=0)
    np.testing.assert_allclose(sparse.get_weights()[0], dense.get_weights()[0], rtol=1e-5)
    assert len(steps) < BATCHES / 2
    np.testing.assert_allclose(
        sparse.predict(_batches(lambda x: x), verbose=0),
        dense.predict(_batches(lambda x: x.toarray()), verbose=0),
        rtol=1e-5,
    )
