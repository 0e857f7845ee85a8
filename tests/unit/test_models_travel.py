"""Models with functions of their own reach another process and compute there what they compute here."""

from __future__ import annotations

import numpy as np

import unikeras as uk


def _scaled(factor):
    from keras import ops

    def scaled(x):
        return ops.tanh(x) * factor

    return scaled


def _predict(model, x):
    return np.asarray(model.predict(x, verbose=0))


def test_lambdas_keep_their_globals_and_cells(here):
    import keras
    from keras import layers, ops

    keras.utils.set_random_seed(0)
    offset = 3.0
    per_step = layers.Lambda(
        lambda t, by: t / ops.cast(ops.shape(t)[1], "float32") + by, arguments={"by": 2.0}
    )
    inputs = keras.Input((None, 3), name="x")
    hidden = layers.Dense(4, activation=lambda t: ops.relu(t) * offset)(per_step(inputs))
    model = keras.Model(inputs, layers.TimeDistributed(layers.Lambda(lambda t: t - offset))(hidden))
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
    functions = [per_step.function, model.layers[2].activation]
    np.testing.assert_allclose(uk.run_on(here, _predict, model, x), _predict(model, x), rtol=1e-5)
    assert [function.__name__ for function in functions] == ["<lambda>"] * 2


def test_functions_of_one_name_stay_apart(here):
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    activations = [_scaled(2.0), _scaled(5.0)]
    model = keras.Sequential([keras.Input((3,)), *(layers.Dense(2, activation=one) for one in activations)])
    x = np.random.default_rng(0).normal(size=(2, 3)).astype("float32")
    np.testing.assert_allclose(uk.run_on(here, _predict, model, x), _predict(model, x), rtol=1e-5)
    assert [one.__name__ for one in activations] == ["scaled"] * 2
