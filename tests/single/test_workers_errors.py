"""Errors that cross from a worker, and calls that cannot be made."""

from __future__ import annotations

import linecache
import pickle
import threading

import pytest

import unikeras as uk
from unikeras.errors import ArgumentError, ArgumentValueError, BackendUnavailable, RemoteError, UnknownBackend


def test_unknown_backend():
    with pytest.raises(UnknownBackend, match=r"unknown backend 'theano'; unikeras runs on .*torch"):
        uk.run_on("theano", len, "")


def test_backend_that_is_not_installed(monkeypatch):
    monkeypatch.setattr("unikeras.backends._registry.available", list)
    with pytest.raises(BackendUnavailable, match=r'pip install "jax>=0.10,<0.13"'):
        uk.run_on("jax", len, "")


def test_what_is_no_function(here):
    with pytest.raises(ArgumentError, match="a worker runs functions; received 3"):
        uk.run_on(here, 3)


@pytest.mark.parametrize("timeout", [0, -1, "1"])
def test_timeout_that_is_no_time(here, timeout):
    error = ArgumentError if isinstance(timeout, str) else ArgumentValueError
    with pytest.raises(error, match="a number of seconds above 0, or None"):
        uk.run_on(here, len, "", timeout=timeout)


def fail(kind, *args):
    raise kind(*args)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("bad"),
        KeyError("bad"),
        UnicodeDecodeError("utf8", b"bad", 0, 1, "bad"),
        uk.errors.TapeError("bad"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_keep_their_type(here, error):
    with pytest.raises(RemoteError, match="bad") as caught:
        uk.run_on(here, fail, type(error), *error.args)
    assert isinstance(caught.value, type(error))
    assert type(caught.value.__cause__) is type(error)
    assert caught.value.__cause__.args == error.args


def test_errors_end_in_the_traceback_from_there(here):
    with pytest.raises(ZeroDivisionError) as caught:
        uk.run_on(here, lambda: 1 / 0)
    message = str(caught.value)
    assert f"<lambda> on the {here} worker raised ZeroDivisionError: division by zero" in message
    assert message.endswith(caught.value.remote_traceback)
    assert "uk.run_on(here, lambda: 1 / 0)" in caught.value.remote_traceback
    assert caught.value.remote_traceback.endswith("ZeroDivisionError: division by zero")
    assert "_child.py" not in message
    assert caught.value.remote_type == "ZeroDivisionError"


def test_the_traceback_shows_lines_of_a_cell_that_is_in_no_file(here):
    source = "def cell():\n    return [1][7]  # out of reach\n"
    linecache.cache["<cell 1>"] = (len(source), None, source.splitlines(True), "<cell 1>")
    names = {}
    exec(compile(source, "<cell 1>", "exec"), names)
    with pytest.raises(IndexError) as caught:
        uk.run_on(here, names["cell"])
    assert 'File "<cell 1>", line 2, in cell' in caught.value.remote_traceback
    assert "return [1][7]  # out of reach" in caught.value.remote_traceback


def test_errors_keep_their_attributes(here):
    with pytest.raises(FileNotFoundError) as caught:
        uk.run_on(here, open, "/no/such/file")
    assert caught.value.filename == "/no/such/file"
    assert caught.value.errno == 2


class Awkward(Exception):
    """Cannot be unpickled from its `args`, which is what pickle tries."""

    def __init__(self, code, reason):
        super().__init__(f"{reason} ({code})")
        self.code = code


def test_errors_that_do_not_unpickle_keep_type_and_attributes(here):
    with pytest.raises(Awkward, match=r"broken \(3\)") as caught:
        uk.run_on(here, fail, Awkward, 3, "broken")
    assert caught.value.code == 3
    assert type(caught.value.__cause__) is Awkward


def test_errors_that_do_not_pickle_arrive_as_text(here):
    def f():
        error = ValueError("bad")
        error.lock = threading.Lock()
        raise error

    with pytest.raises(ValueError, match="bad") as caught:
        uk.run_on(here, f)
    assert caught.value.__cause__ is None


def test_errors_pickle(here):
    with pytest.raises(FileNotFoundError) as caught:
        uk.run_on(here, open, "/no/such/file")
    again = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(again, FileNotFoundError)
    assert isinstance(again, RemoteError)
    assert str(again) == str(caught.value)
    assert again.filename == "/no/such/file"


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_an_exit_there_is_no_exit_here(here, kind):
    with pytest.raises(RemoteError, match=kind.__name__) as caught:
        uk.run_on(here, fail, kind, 3)
    assert not isinstance(caught.value, kind)


def test_errors_pass_through_nested_workers(here):
    def outer(name, fail):
        import unikeras as uk

        return uk.run_on(name, fail, ValueError, "deep")

    with pytest.raises(ValueError, match="deep") as caught:
        uk.run_on(here, outer, here, fail)
    assert isinstance(caught.value, RemoteError)


@pytest.mark.parametrize(
    ("args", "kwargs", "culprit"),
    [
        ((1, threading.Lock()), {}, "argument 1, of type lock"),
        ((), {"x": {"a": [1, threading.Lock()]}}, r"argument 'x'\['a'\]\[1\], of type lock"),
    ],
)
def test_what_cannot_travel_is_named(here, args, kwargs, culprit):
    with pytest.raises(ArgumentError, match=f"{culprit}, cannot be sent to another process: .*lock"):
        uk.run_on(here, print, *args, **kwargs)


def test_a_function_that_cannot_travel_is_named(here):
    lock = threading.Lock()
    with pytest.raises(ArgumentError, match="the function, of type function, cannot be sent"):
        uk.run_on(here, lambda: lock)


class OnlyThere:
    """Pickles, and refuses to be unpickled."""

    def __reduce__(self):
        return int, ("no number",)


def test_what_cannot_be_made_again_is_named(here):
    with pytest.raises(ArgumentError, match=r"the function, or one of its arguments, cannot be unpickled"):
        uk.run_on(here, print, OnlyThere())
    with pytest.raises(ArgumentError, match=r"what OnlyThere returned cannot be unpickled .*no number"):
        uk.run_on(here, OnlyThere)


def test_a_result_that_cannot_travel_is_named(here):
    with pytest.raises(ArgumentError, match=r"what the function returned\['a'\], of type lock") as caught:
        uk.run_on(here, lambda: {"a": threading.Lock()})
    assert isinstance(caught.value, RemoteError)
    assert uk.run_on(here, len, "abc") == 3
