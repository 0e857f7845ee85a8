"""The contract of a backend that ships in the package, and what is tested of it here alone."""

from __future__ import annotations

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
