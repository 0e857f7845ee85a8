"""Each environment runs on its own backend, and on no other."""

from __future__ import annotations

import configparser
import os
import sys
from pathlib import Path

import pytest

from unikeras.backends import _registry

ROOT = Path(__file__).parents[2]


def test_keras_runs_on_the_backend_that_the_environment_names(backend):
    asked = os.environ.get("KERAS_BACKEND") or backend.name
    assert backend.name == asked
    assert _registry.ENTRIES[backend.name].framework in sys.modules


def test_an_environment_of_one_backend_holds_no_other(backend):
    alone = os.environ.get("UNIKERAS_TEST_ALONE") == "1"
    assert (_registry.available() == [backend.name]) or not alone


def test_every_registered_backend_has_an_environment_that_runs_these_laws():
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    planned = tox["tox"]["env_list"].replace(",", " ").split()
    for name in _registry.names():
        assert name in planned
        section = tox[f"testenv:{name}"]
        assert f"KERAS_BACKEND = {name}" in section["set_env"]
        assert "UNIKERAS_TEST_ALONE = 1" in section["set_env"]
        assert "tests/contract" in section["commands"]


@pytest.mark.parametrize(
    ("version", "warned"),
    [("99.1.0", True), ("0.1", True), ("1", True), ("2.13.1+cpu", False), ("2.13", False)],
)
def test_versions_outside_the_tested_range_are_told_from_those_inside(version, warned, monkeypatch):
    entry = _registry.Entry("module", "torch", (), '"torch>=2.13,<2.14"')
    monkeypatch.setattr(_registry.Entry, "version", property(lambda self: version))
    assert (entry.untested() is not None) == warned


def test_an_untested_version_is_a_warning_and_the_backend_loads(backend, monkeypatch, caplog):
    monkeypatch.setattr(_registry.Entry, "version", property(lambda self: "99.1.0rc1"))
    assert _registry.load.__wrapped__(backend.name).name == backend.name
    (record,) = caplog.records
    assert "99.1.0rc1 is not among the tested versions, from" in record.getMessage()
