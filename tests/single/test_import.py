"""Importing unikeras has no consequences; its names are all there."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import unikeras as uk

HEAVY = {"keras", "tensorflow", "torch", "jax", "numpy", "rich", "click", "matplotlib", "sklearn", "onnx"}


def test_import_loads_no_framework():
    code = "import unikeras, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert HEAVY.isdisjoint(loaded.stdout.split())
    assert loaded.stderr == ""


def test_asking_what_is_installed_loads_no_framework():
    code = "import unikeras as uk, sys; uk.backends.available(); uk.export_formats(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"keras", "tensorflow", "torch", "jax", "onnx"}.isdisjoint(loaded.stdout.split())


def test_every_public_name_is_there_and_documented():
    for name in uk.__all__:
        assert getattr(uk, name).__doc__, name


@pytest.mark.parametrize(
    "module",
    [uk, uk.callbacks, uk.data, uk.random, uk.training, uk.memory, uk.layers, uk.errors, uk.backends],
)
def test_dir_shows_the_public_names_only(module):
    assert dir(module) == sorted(module.__all__)


@pytest.mark.parametrize(
    ("module", "name", "message"),
    [
        (uk, "no_such_name", "module 'unikeras' has no attribute 'no_such_name'"),
        (uk, "GradientTap", "no attribute 'GradientTap'. Did you mean 'GradientTape'?"),
        (uk, "gradienttape", "no attribute 'gradienttape'. Did you mean 'GradientTape'?"),
        (uk.training, "model", "no attribute 'model'. Did you mean 'Model'?"),
    ],
)
def test_an_unknown_name_is_an_attribute_error(module, name, message):
    assert not hasattr(module, name)
    with pytest.raises(AttributeError) as caught:
        getattr(module, name)
    assert str(caught.value).endswith(message)


TRAINING = """
import sys
import keras, numpy as np, unikeras as uk

inputs = keras.Input((3,))
model = uk.Model(inputs, keras.layers.Dense(2)(inputs))
model.compile("adam", "mse")
source = uk.data.from_arrays(np.zeros((8, 3), "float32"), np.zeros((8, 2), "float32")).shuffle(0).batch(4)
watched = [uk.callbacks.TensorBoard("logs", histogram_freq=1), uk.callbacks.HistoryFile("run.jsonl")]
model.fit(source, verbose=0, callbacks=[uk.callbacks.Checkpoint("run", every_steps=1), *watched])
uk.training.ReduceLROnPlateau(model.optimizer).update(1.0)
uk.data.transforms.from_layer(keras.layers.RandomRotation(0.1))
uk.training.Checkpointer("own", model=model).save()
with uk.random.portable(3):
    keras.random.uniform((3,))
print([name for name in ("tensorflow", "torch") if name in sys.modules])
"""


def test_what_trains_loads_no_other_framework(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", TRAINING],
        cwd=tmp_path,
        env=os.environ | {"KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip().endswith("[]")
