"""The reference is complete: each public name is documented, on exactly one page."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
from pathlib import Path

import pytest

import unikeras as uk

ROOT = Path(__file__).parents[2]
# Rooms without a page, and why.
WITHOUT_A_PAGE = {
    "unikeras.apps": "programs",
    "unikeras.autodiff": "all its names are on the page of unikeras",
    "unikeras.cli": "commands, described by their help",
    "unikeras.functions": "all its names are on the page of unikeras",
}


def load_reference():
    """Import the extension of the site; Sphinx is not needed for that."""
    path = ROOT / "docs" / "_extensions" / "api_reference.py"
    spec = importlib.util.spec_from_file_location("api_reference", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def reference():
    return load_reference()


def public_packages():
    """Return the rooms, and the packages that they offer by name."""
    rooms = [f"unikeras.{found.name}" for found in pkgutil.iter_modules(uk.__path__) if found.name[0] != "_"]
    offered = [
        getattr(module, name).__name__
        for module in map(importlib.import_module, ["unikeras", *rooms])
        for name in getattr(module, "__all__", ())
        if inspect.ismodule(getattr(module, name))
    ]
    return {"unikeras", *rooms, *offered}


def test_each_public_package_has_a_page(reference):
    assert public_packages() == {*reference.PACKAGES, *WITHOUT_A_PAGE}
    assert len(set(reference.PACKAGES)) == len(reference.PACKAGES)


def test_rooms_without_a_page_offer_nothing_that_is_missing(reference):
    at_top = [getattr(uk, name) for name in uk.__all__]
    for room in WITHOUT_A_PAGE:
        module = importlib.import_module(room)
        assert [name for name in getattr(module, "__all__", ()) if getattr(module, name) not in at_top] == []


def test_chosen_names_are_public(reference):
    for package, names in reference.CHOSEN.items():
        assert {*names} <= {*importlib.import_module(package).__all__}


def test_each_public_name_is_on_one_page(reference):
    pages = {}
    for package in reference.PACKAGES:
        module = importlib.import_module(package)
        for name in reference.entries(package):
            pages.setdefault(id(getattr(module, name)), []).append(f"{package}.{name}")
    assert [names for names in pages.values() if len(names) > 1] == []
    for package in reference.PACKAGES:
        module = importlib.import_module(package)
        assert [
            name for name in reference.public_names(module) if id(getattr(module, name)) not in pages
        ] == []


def test_each_public_name_is_documented(reference):
    assert reference.undocumented() == []


def test_an_undocumented_name_is_found(reference, monkeypatch):
    def portable():
        return 1

    portable.__module__ = "unikeras.random"
    monkeypatch.setattr(uk.random, "portable", portable)
    assert reference.undocumented() == ["unikeras.random.portable"]
