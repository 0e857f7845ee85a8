"""The patches of Keras: each is in the table, comes with the first use of what needs it, and can be taken back."""

from __future__ import annotations

import ast
import threading
from pathlib import Path

import pytest

import unikeras as uk
from unikeras import workers
from unikeras._keras import hooks

PACKAGE = Path(uk.__file__).parent


def _in_a_fresh_process(f):
    workers.shutdown()
    try:
        return uk.run_on(uk.backend(), f)
    finally:
        workers.shutdown()


def _life_of_the_hooks():
    """Install all hooks of this backend and take them back; return the attributes seen at each time."""
    import inspect
    import pkgutil

    import keras
    import numpy as np

    import unikeras as uk
    from unikeras._keras import hooks

    def attributes():
        found = {}
        for hook in hooks.TABLE:
            path, _, name = hook.attribute.rpartition(".")
            if path.startswith("keras.src.backend.") and f".{uk.backend()}." not in path:
                continue  # it would import another framework
            owner = pkgutil.resolve_name(path)
            found[hook.attribute] = name in vars(owner), inspect.getattr_static(owner, name, None)
        return found

    def replaced():
        now = attributes()
        return {name for name in now if now[name] != original[name]}

    original = attributes()
    uk.backends.current().is_tracing()
    after_a_query = replaced()
    with uk.GradientTape():
        pass
    after_a_tape = replaced()
    model = uk.Model.from_keras(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]))
    model.compile("sgd", "mse")
    x = np.ones((4, 2), "float32")
    for _ in range(2):
        model.fit(x, x[:, :1], verbose=0)
    with uk.debug(nans=True):
        model.fit(x, x[:, :1], verbose=0)
    after_all = replaced()
    installed = {hook.attribute for hook in hooks.TABLE if hooks.is_installed(hook.attribute)}
    uk.testing.uninstall_hooks()
    left = replaced()
    with uk.GradientTape():
        pass
    return after_a_query, after_a_tape, after_all, installed, left, replaced()


def test_hooks_come_with_what_needs_them_and_go():
    query, tape, everything, installed, left, again = _in_a_fresh_process(_life_of_the_hooks)
    assert query == set()
    assert "keras.Variable._maybe_autocast" in tape
    assert "keras.Layer.__call__" not in tape
    assert {"keras.Variable.assign", "keras.Optimizer.apply", "keras.Layer.__call__"} <= everything
    assert everything == installed
    assert left == set()
    assert again == tape


def test_the_table_says_why_each_is_there():
    assert len({hook.attribute for hook in hooks.TABLE}) == len(hooks.TABLE)
    for hook in hooks.TABLE:
        assert hook.why
        assert hook.until
        assert hook.upstream == "none filed" or hook.upstream.startswith("https://github.com/")


def _assigned_to_keras(tree):
    for node in ast.walk(tree):
        targets = node.targets if isinstance(node, ast.Assign) else ()
        for target in targets:
            if isinstance(target, ast.Attribute) and ast.unparse(target).startswith(("keras.", "layers.")):
                yield ast.unparse(target)


def test_nothing_but_the_table_patches_keras():
    found = {
        name for path in PACKAGE.rglob("*.py") for name in _assigned_to_keras(ast.parse(path.read_text()))
    }
    assert found == set()
    assert list(_assigned_to_keras(ast.parse("keras.Variable.assign = f"))) == ["keras.Variable.assign"]


class _Owner:
    def method(self):
        return "own"


@pytest.fixture
def hooked(monkeypatch):
    """A table with one attribute, of this module, and nothing installed."""
    name = f"{__name__}._Owner.method"
    monkeypatch.setattr(hooks, "_known", frozenset([name]))
    monkeypatch.setattr(hooks, "_makers", {})
    monkeypatch.setattr(hooks, "_originals", {})
    monkeypatch.setattr(hooks.pkgutil, "resolve_name", lambda path: _Owner)
    yield name
    hooks.uninstall()


def test_threads_that_need_a_hook_at_once_install_it_once(hooked):
    calls, start = [], threading.Barrier(8)

    def make(own):
        calls.append(own)
        return lambda self: f"new {own(self)}"

    def install():
        start.wait()
        hooks.use(hooked, make)

    threads = [threading.Thread(target=install) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert _Owner().method() == "new own"


def test_a_second_package_wraps_what_the_first_made(hooked):
    original = vars(_Owner)["method"]
    hooks.use(hooked, lambda own: lambda self: f"first {own(self)}")
    hooks.use(hooked, lambda own: lambda self: f"second {own(self)}")
    assert _Owner().method() == "second first own"
    hooks.uninstall()
    assert vars(_Owner)["method"] is original


def test_an_attribute_that_is_not_in_the_table_is_refused():
    with pytest.raises(LookupError, match=r"keras\.Layer\.call is not in the table"):
        hooks.use("keras.Layer.call", lambda own: own)
