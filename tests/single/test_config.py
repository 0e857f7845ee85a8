"""Which backend is chosen, and why; each case in a process of its own, for keras decides once."""

from __future__ import annotations

import sys

import pytest
from helpers.choosing import keras_json, run

from unikeras.backends import _choose as _config
from unikeras.backends import _registry

INSTALLED = _registry.available()


def test_the_first_installed_is_chosen_and_said_once(tmp_path):
    done = run(
        "import logging; logging.basicConfig(level='INFO', format='%(message)s')\n"
        "import unikeras as uk; print(uk.backend(), uk.backend())",
        tmp_path,
    )
    assert done.stdout.split() == [INSTALLED[0]] * 2, done.stderr
    # Keras' own default needs no words; another choice is said, once.
    assert done.stderr.count("KERAS_BACKEND is not set") == (INSTALLED[0] != "tensorflow")


def test_keras_imports_after_unikeras_without_any_setting(tmp_path):
    done = run("import unikeras, keras; print(keras.backend.backend())", tmp_path)
    assert done.stdout.split() == [INSTALLED[0]], done.stderr


def test_the_reason_names_the_setting_that_keras_alone_needs(monkeypatch, tmp_path):
    from unikeras.backends import _registry, choose

    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    for name in _registry.names():
        monkeypatch.setattr(_registry, "available", lambda name=name: [name])
        assert choose().name == name
        told = f"set KERAS_BACKEND={name} for scripts that import keras before unikeras" in choose().reason
        assert told == (name != "tensorflow")  # which `import keras` takes by itself


@pytest.mark.parametrize("name", INSTALLED)
def test_keras_json_is_followed_where_its_backend_is_installed(tmp_path, name):
    keras_json(tmp_path, {"backend": name})
    assert run("import unikeras as uk; print(uk.backend())", tmp_path).stdout.split() == [name]


@pytest.mark.parametrize("content", [{"backend": "not_a_backend"}, {}, [], "not json", {"backend": None}])
def test_keras_json_counts_as_silent_where_it_names_nothing_installed(tmp_path, content):
    keras_json(tmp_path, content)
    code = "from unikeras import backends; print(backends.choose().name)"
    assert run(code, tmp_path).stdout.split() == [INSTALLED[0]]


def test_an_explicit_backend_that_nobody_knows_is_an_error_with_the_names(tmp_path):
    done = run("import unikeras as uk; uk.backend()", tmp_path, KERAS_BACKEND="theano")
    assert "UnknownBackend" in done.stderr
    assert "tensorflow, jax, torch" in done.stderr


def test_without_any_backend_every_pip_line_is_shown(monkeypatch, tmp_path):
    monkeypatch.setattr(_registry, "available", list)
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(_config.BackendUnavailable, match=r"pip install \"tensorflow.*pip install \"torch"):
        _config.current_name()
