"""A saved model with a class of unikeras opens where nothing of unikeras was used yet."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from helpers.programs_by_hand import net

import unikeras as uk
from unikeras._base.import_hook import when_imported
from unikeras._keras import saved_classes

PACKAGE = Path(uk.__file__).parent

LOAD = """
import sys
{imports}
import numpy as np

model = keras.models.load_model(sys.argv[1])
np.save(sys.argv[2], model.predict(np.load(sys.argv[3]), verbose=0))
"""


@pytest.fixture
def saved(tmp_path):
    """A file with a recurrent layer of ours and an imported module, an input, and what the model predicts."""
    inputs = keras.Input((3, 4))
    x = uk.layers.LSTM(3)(inputs)
    program, arrays = net()
    model = keras.Model(inputs, uk.interop.ImportedModule(program, arrays)(x))
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "x.npy", x)
    return tmp_path, model.predict(x, verbose=0)


@pytest.mark.parametrize(
    "imports", ["import unikeras\nimport keras", "import keras\nimport unikeras"], ids=["before", "after"]
)
def test_a_file_opens_where_nothing_was_used(saved, imports):
    folder, expected = saved
    files = [str(folder / name) for name in ("model.keras", "y.npy", "x.npy")]
    subprocess.run([sys.executable, "-c", LOAD.format(imports=imports), *files], check=True)
    np.testing.assert_allclose(np.load(folder / "y.npy"), expected, rtol=1e-5, atol=1e-6)


def test_every_registered_class_is_announced():
    pattern = r'^@keras\.saving\.register_keras_serializable\(package="unikeras"\)\nclass (\w+)'
    found = {
        name: ".".join(("unikeras", *path.relative_to(PACKAGE).with_suffix("").parts))
        for path in PACKAGE.rglob("*.py")
        for name in re.findall(pattern, path.read_text(), re.MULTILINE)
    }
    # What stands for a layer's module in a config until it is written never stands in a file.
    del found["SavedSource"]
    assert found == saved_classes.CLASSES


def test_a_module_is_waited_for(tmp_path, monkeypatch):
    (tmp_path / "waited_for.py").write_text("VALUE = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    calls = []
    when_imported("waited_for", lambda: calls.append(sys.modules["waited_for"].VALUE))
    assert calls == []
    import waited_for  # noqa: F401

    assert calls == [1]
    when_imported("waited_for", lambda: calls.append(2))
    assert calls == [1, 2]
    del sys.modules["waited_for"]
