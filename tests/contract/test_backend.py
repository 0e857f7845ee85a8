"""The contract of a backend that ships in the package, and what is tested of it here alone."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import unikeras as uk
from unikeras.backends import Backend
from unikeras.testing import BackendContract


class TestBackend(BackendContract):
    @pytest.fixture(autouse=True)
    def _loaded(self, backend):
        self.backend = backend

    def make_backend(self):
        return self.backend


def test_the_current_backend_is_loaded_once(backend):
    assert uk.backends.current() is backend


def test_version_is_the_installed_one(backend):
    assert backend.version().partition("+")[0] == _installed(backend.name).partition("+")[0]


def _installed(name):
    from unikeras.backends import _registry

    return _registry.ENTRIES[name].version


def test_a_backend_that_forgets_a_method_cannot_be_made():
    class Forgetful(Backend):
        name = "forgetful"

        def version(self):
            return "0"

    with pytest.raises(TypeError, match="abstract"):
        Forgetful()


def test_loading_a_backend_imports_no_keras(backend):
    # TensorFlow imports keras by itself.
    code = (
        f"import sys, {backend.name}; before = 'keras' in sys.modules; from unikeras.backends import load; "
        f"assert not load({backend.name!r}).is_tensor(1); assert ('keras' in sys.modules) == before"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


ROOM = Path(uk.backends.__file__).parent
PARTS = {"tensors.py", "autodiff.py", "compile.py", "trainer.py", "kernels.py", "words.py"}


def _files(package):
    return {path.name for path in (ROOM / package).glob("*.py")} - {"__init__.py"}


def test_each_backend_has_the_files_of_the_contract(backend):
    # A module of the framework's own is what `trainer.py` returns, where the framework has such modules.
    assert _files("_contract") == PARTS | {"modules.py"}
    assert {name for name in _files(backend.name) if not name.startswith("_")} == PARTS


def test_the_readme_names_the_files_of_a_backend(backend):
    named = set(re.findall(r"`(\w+\.py)`", (ROOM / "README.md").read_text()))
    assert _files(backend.name) <= named
    assert named <= {path.name for path in ROOM.rglob("*.py")}


def test_no_backend_imports_another(backend):
    others = set(uk.backends.names()) - {backend.name}
    for path in (ROOM / backend.name).glob("*.py"):
        imported = re.findall(r"unikeras\.backends\.(\w+)", path.read_text())
        assert others.isdisjoint(imported), path
