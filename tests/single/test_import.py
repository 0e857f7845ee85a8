"""Importing unikeras has no consequences; its names are all there."""

from __future__ import annotations

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


@pytest.mark.parametrize("module", [uk, uk.training, uk.memory, uk.layers, uk.errors, uk.backends])
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
