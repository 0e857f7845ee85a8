"""Attributes that are replaced while a block runs, with several threads."""

from __future__ import annotations

import threading
from types import SimpleNamespace

from unikeras._keras.patched import held, patched


class Owner:
    def method(self):
        return "own"


def _elsewhere(f):
    """Return what a function returns in another thread."""
    results = []
    thread = threading.Thread(target=lambda: results.append(f()))
    thread.start()
    thread.join()
    return results[0]


def _new(own):
    return lambda self: f"new {own(self)}"


def test_other_threads_call_the_original():
    original = vars(Owner)["method"]
    with patched(Owner, "method", _new):
        assert Owner().method() == "new own"
        assert _elsewhere(Owner().method) == "own"
    assert vars(Owner)["method"] is original


def test_blocks_nest():
    with patched(Owner, "method", _new):
        with patched(Owner, "method", _new):
            assert Owner().method() == "new new own"
        assert Owner().method() == "new own"


def test_a_block_that_ends_before_one_that_began_earlier_leaves_it_alone():
    original, first, second = (
        vars(Owner)["method"],
        patched(Owner, "method", _new),
        patched(Owner, "method", _new),
    )
    started, end = threading.Event(), threading.Event()

    def run():
        with first:
            started.set()
            end.wait()
            results.append(Owner().method())

    results = []
    thread = threading.Thread(target=run)
    thread.start()
    started.wait()
    with second:
        end.set()
        thread.join()
        assert Owner().method() == "new own"
    assert results == ["new own"]
    assert vars(Owner)["method"] is original


def test_an_inherited_method_is_inherited_again():
    class Child(Owner):
        pass

    with patched(Child, "method", _new):
        assert Child().method() == "new own"
    assert "method" not in vars(Child)


def test_a_value_comes_back_when_the_last_block_ends():
    layer = SimpleNamespace(unroll=False)
    first, second = held(layer, "unroll", True), held(layer, "unroll", True)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert layer.unroll is True
    second.__exit__(None, None, None)
    assert layer.unroll is False
