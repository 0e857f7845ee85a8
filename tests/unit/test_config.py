"""A backend that is not installed is not chosen, or asked for in vain: tested where the others are absent."""

from __future__ import annotations

import pytest
from helpers.choosing import keras_json, run

from unikeras.backends import _registry

INSTALLED = _registry.available()
ABSENT = [name for name in _registry.names() if name not in INSTALLED]


@pytest.mark.parametrize("name", ABSENT)
def test_keras_json_that_names_an_absent_backend_counts_as_none(tmp_path, name):
    keras_json(tmp_path, {"backend": name})
    assert run("import unikeras as uk; print(uk.backend())", tmp_path).stdout.split() == [INSTALLED[0]]


@pytest.mark.parametrize("name", ABSENT)
def test_an_explicit_backend_that_is_absent_is_an_error_with_the_pip_line(tmp_path, name):
    done = run("import unikeras as uk; uk.backend()", tmp_path, KERAS_BACKEND=name)
    assert done.returncode == 1
    assert "BackendUnavailable" in done.stderr
    assert _registry.install_line(name) in done.stderr
    assert "KERAS_BACKEND names it" in done.stderr
