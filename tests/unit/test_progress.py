"""uk.training.progress: on a terminal, without one, and when a loop is left early."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import subprocess
import sys

import keras
import numpy as np
import pytest

import unikeras as uk
from unikeras.training import progress


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


def terminal():
    return contextlib.redirect_stdout(Terminal())


def test_one_line_an_epoch_without_a_terminal(capsys):
    bar = progress([1, 2, 3], title="Training")
    for _ in range(2):
        for batch in bar:
            bar.update(loss=keras.ops.convert_to_tensor(0.5) * batch, rate=np.float32(2))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    for title, line in (lines[:2], lines[2:]):
        assert title == "Training"
        assert line.startswith("3/3 - 0s - ")
        assert line.endswith(" - loss: 1.5000 - rate: 2.0000")


def test_a_bar_on_a_terminal():
    with terminal() as shown:
        for _ in (bar := progress(range(2))):
            bar.update(loss=1)
    drawn = shown.getvalue().split("\r")
    assert "1/2" in drawn[1]
    assert "2/2" in drawn[-1]
    assert "loss: 1.0000" in drawn[-1]
    assert drawn[-1].endswith("\n")
    assert shown.getvalue().count("\n") == 1


def test_a_source_without_a_length():
    with terminal() as shown:
        bar = progress(batch for batch in range(3))
        assert list(bar) == [0, 1, 2]
    assert "1/Unknown" in shown.getvalue()
    assert "3/3" in shown.getvalue()
    with pytest.raises(TypeError, match="not known"):
        len(bar)
    assert len(progress(iter("ab"), total=2)) == 2


def test_an_empty_source_draws_nothing():
    with terminal() as shown:
        assert list(progress([])) == []
    assert shown.getvalue() == ""


@pytest.mark.parametrize("verbose", ["auto", 2])
def test_a_loop_that_is_left(verbose):
    with terminal() as shown:
        for batch in progress(range(10), verbose=verbose):
            if batch == 2:
                break
    last = shown.getvalue().split("\r")[-1]
    assert " 2/10" in last
    assert last.endswith("\n")
    hook = sys.excepthook

    def fail():
        with progress(range(10), verbose=verbose) as bar:
            for batch in bar:
                if batch == 3:
                    raise KeyError

    with terminal() as shown, pytest.raises(KeyError):
        fail()
    assert " 3/10" in shown.getvalue().split("\r")[-1]
    assert shown.getvalue().endswith("\n")
    assert sys.excepthook is hook


def test_silence(capsys):
    assert list(progress([1, 2], verbose=0)) == [1, 2]
    keras.config.disable_interactive_logging()
    try:
        assert list(progress([1, 2], title="a", verbose=1)) == [1, 2]
    finally:
        keras.config.enable_interactive_logging()
    assert capsys.readouterr() == ("", "")


def test_an_exception_that_nobody_catches_begins_a_line(tmp_path):
    """On a real terminal, with no `with` around the loop."""
    script = """
import unikeras as uk
for i in uk.training.progress(range(9)):
    if i == 4:
        raise KeyError(i)
"""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", script], stdout=theirs, stderr=theirs, cwd=tmp_path)
    os.close(theirs)
    shown = b""
    try:
        while data := os.read(ours, 65536):
            shown += data
    except OSError:  # Linux' end of a terminal
        pass
    assert process.wait(60) == 1
    os.close(ours)
    lines = shown.decode().replace("\r\n", "\n").split("\n")
    assert any(line.startswith("Traceback") for line in lines)
    assert "4/9" in lines[next(i for i, line in enumerate(lines) if line.startswith("Traceback")) - 1]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: progress(3), uk.errors.ArgumentError, "iterate over"),
        (lambda: progress([1], verbose=3), uk.errors.ArgumentValueError, "'auto', 0, 1 or 2"),
        (lambda: progress([1], total=-1), uk.errors.ArgumentValueError, "total"),
        (lambda: progress([1]).update(loss="low"), uk.errors.ArgumentError, "'loss' is a str"),
        (lambda: progress([1]).update(loss=np.ones(2)), uk.errors.ArgumentError, r"shape \(2,\)"),
    ],
)
def test_what_it_cannot_show(call, error, message):
    with pytest.raises(error, match=message):
        call()
