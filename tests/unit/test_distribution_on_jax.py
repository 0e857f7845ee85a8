"""uk.Model under Keras' own distribution on JAX, on two virtual devices."""

from __future__ import annotations

import os
import subprocess
import sys

import keras
import pytest

if keras.backend.backend() != "jax":
    pytest.skip("Keras distributes on JAX", allow_module_level=True)

PROGRAM = """
import sys, keras, numpy as np, unikeras as uk
devices = keras.distribution.list_devices()
assert len(devices) == 2
if sys.argv[1] == "data":
    distribution = keras.distribution.DataParallel(devices=devices)
else:
    mesh = keras.distribution.DeviceMesh((1, 2), ["batch", "model"], devices)
    layout = keras.distribution.LayoutMap(mesh)
    layout["dense_hidden.*kernel"] = (None, "model")
    distribution = keras.distribution.ModelParallel(layout_map=layout, batch_dim_name="batch")
x = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
y = x[:, :1]
results = []
for kind in (uk.Model, keras.Model):
    keras.utils.set_random_seed(0)
    keras.backend.clear_session()
    keras.distribution.set_distribution(distribution)
    inputs = keras.Input((3,))
    hidden = keras.layers.Dropout(0.5, seed=1)(keras.layers.Dense(4, "tanh", name="dense_hidden")(inputs))
    model = kind(inputs, keras.layers.Dense(1)(hidden))
    model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"])
    history = model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0).history
    evaluated = model.evaluate(x, y, batch_size=8, verbose=0)
    results.append([*history["loss"], *history["mae"], *evaluated, *model.predict(x, batch_size=8, verbose=0).ravel()])
    kernel = model.layers[1].kernel.value
    assert len(kernel.sharding.device_set) == 2, kernel.sharding
np.testing.assert_allclose(results[0], results[1], rtol=1e-5, atol=1e-6)
"""


@pytest.mark.parametrize("kind", ["data", "model"])
def test_fit_evaluate_predict_as_keras_model(kind):
    environment = os.environ | {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, kind], env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr[-3000:]
