"""A disk that fills up while an export writes."""

from __future__ import annotations

import subprocess

import pytest

from unikeras.backends import _registry
from unikeras.export.request.format_table import FORMATS


@pytest.mark.rotated("backend", "format")
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("backend", _registry.available())
def test_a_disk_that_fills_up_leaves_nothing(start_script, monkeypatch, backend, format):
    monkeypatch.setenv("KERAS_BACKEND", backend)
    script = start_script(
        f"""
        import resource
        from pathlib import Path
        import keras, unikeras as uk
        model = keras.Sequential([keras.Input((256,)), keras.layers.Dense(256)])
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        try:
            uk.export_model(model, "model{FORMATS[format].suffix}")
        except uk.errors.UnikerasError as error:
            print(type(error).__name__)
        print(sorted(path.name for path in Path().iterdir() if path.name != "script.py"))
        """,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    output, errors = script.communicate(timeout=300)
    assert script.returncode == 0, errors
    error, left = output.strip().splitlines()[-2:]
    assert error in ("OutputError", "ExportError")  # TensorFlow's writer loses the reason
    assert left == "[]"
