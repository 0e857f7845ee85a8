"""Replacing what stands at a path: a kill or an interrupt at any step leaves the old or the new, and no litter."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from helpers.processes import in_a_process, interrupted_at

from unikeras._base import exchange as _exchange
from unikeras._base import files as _files
from unikeras._base.files import recover, written_atomically
from unikeras._base.staging_folder import StagingFolder

# The forked processes end at once and run nothing of JAX, which warns of every fork once it is imported.
pytestmark = pytest.mark.filterwarnings("ignore:os.fork.. was called:RuntimeWarning")

KINDS = ["file", "folder", "pair"]


def begin(folder, kind):
    """Put an old artifact in a place, and return the place."""
    path = folder / ("m.xml" if kind == "pair" else "m")
    write(path, kind, "old")
    return path


def write(path, kind, content):
    if kind == "folder":
        path.mkdir()
        (path / "inside").write_text(content)
    else:
        path.write_text(content)
    if kind == "pair":
        path.with_suffix(".bin").write_text(content)


def replace(path, kind):
    with written_atomically(path, beside=".bin" if kind == "pair" else "") as temporary:
        write(temporary, kind, "new")


def found(path, kind):
    """Return what stands there, as a set: more than one would be halves of two."""
    if kind == "folder":
        return {(path / "inside").read_text()}
    files = [path, path.with_suffix(".bin")] if kind == "pair" else [path]
    return {file.read_text() for file in files}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def killing_after(monkeypatch, number, swaps):
    """Kill the process after so many of the steps that move something."""
    left = [number]

    def counted(step):
        def then(*arguments):
            result = step(*arguments)
            if result is not False:
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return result

        return then

    monkeypatch.setattr(Path, "replace", counted(Path.replace))
    monkeypatch.setattr(Path, "hardlink_to", counted(Path.hardlink_to))
    monkeypatch.setattr(_files, "exchange", counted(_exchange.exchange) if swaps else lambda *_: False)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("swaps", [True, False], ids=["swaps", "cannot swap"])
def test_a_kill_at_any_step_leaves_the_old_or_the_new(tmp_path, monkeypatch, kind, swaps):
    steps = 0
    while True:
        steps += 1
        folder = tmp_path / str(steps)
        folder.mkdir()
        path = begin(folder, kind)
        with monkeypatch.context() as patch:
            killing_after(patch, steps, swaps)
            killed = in_a_process(lambda path=path: replace(path, kind))
        if not killed:
            assert found(path, kind) == {"new"}
            break
        if swaps:
            assert path.exists()
        recover(path)
        assert found(path, kind) in ({"old"}, {"new"})
        recover(path)
        assert found(path, kind) in ({"old"}, {"new"})
        replace(path, kind)
        assert found(path, kind) == {"new"}
        assert not [name for name in names(folder) if name.startswith(".")]
    assert steps > 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("swaps", [True, False], ids=["swaps", "cannot swap"])
def test_an_interrupt_at_any_instruction_leaves_the_old_or_the_new(tmp_path, monkeypatch, kind, swaps):
    if not swaps:
        monkeypatch.setattr(_files, "exchange", lambda *_: False)
    path = begin(tmp_path, kind)

    def interrupt():
        instruction = 1
        while interrupted_at(instruction, lambda: replace(path, kind)):
            recover(path)
            assert found(path, kind) in ({"old"}, {"new"})
            instruction += 53
        assert instruction > 300

    assert not in_a_process(interrupt)
    replace(path, kind)
    assert found(path, kind) == {"new"}
    assert not [name for name in names(tmp_path) if name.startswith(".")]


@pytest.mark.parametrize("swaps", [True, False], ids=["swaps", "cannot swap"])
def test_an_error_between_two_files_takes_the_first_one_back(tmp_path, monkeypatch, swaps):
    path, steps = begin(tmp_path, "pair"), []
    move = _files._move

    def fails(written, final):
        steps.append(final.name)
        if len(steps) == 2:
            raise OSError("the disk is gone")
        move(written, final)

    monkeypatch.setattr(_files, "_move", fails)
    if not swaps:
        monkeypatch.setattr(_files, "exchange", lambda *_: False)
    with pytest.raises(OSError, match="the disk is gone"):
        replace(path, "pair")
    assert steps == ["m.bin", "m.xml"]
    assert found(path, "pair") == {"old"}
    assert names(tmp_path) == ["m.bin", "m.xml"]


def test_a_first_pair_that_was_not_finished_is_finished(tmp_path, monkeypatch):
    path = tmp_path / "m.xml"
    with monkeypatch.context() as patch:
        killing_after(patch, 1, swaps=True)
        assert in_a_process(lambda: replace(path, "pair"))
    assert not path.exists()
    recover(path)
    assert found(path, "pair") == {"new"}


def test_what_was_put_there_after_a_kill_is_not_replaced(tmp_path, monkeypatch):
    """A backup that somebody restored is not what was left half-way."""
    path = begin(tmp_path, "pair")
    with monkeypatch.context() as patch:
        killing_after(patch, 1, swaps=True)
        assert in_a_process(lambda: replace(path, "pair"))
    for file in (path, path.with_suffix(".bin")):
        file.unlink()
    write(path, "pair", "of a backup")
    before = found(path, "pair")
    recover(path)
    assert found(path, "pair") == before == {"of a backup"}


def test_what_killed_processes_left_is_cleaned_up_and_nothing_else(tmp_path):
    path = tmp_path / "m"

    def is_killed(what):
        with written_atomically(path) as temporary:
            write(temporary, what, "half")
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_a_process(lambda: is_killed("file"))
    assert in_a_process(lambda: is_killed("folder"))
    assert len(names(tmp_path)) == 1  # the second call has cleaned up after the first
    theirs = [tmp_path / ".m.abcdefgh", tmp_path / ".m.backup", tmp_path / ".n.abcdefgh"]
    for folder in theirs:
        folder.mkdir()
        (folder / "mine").write_text("")
    with written_atomically(path) as outer:  # a living one beside it is left alone
        outer.write_text("outer")
        replace(path, "file")
        assert outer.read_text() == "outer"
    assert path.read_text() == "outer"
    assert names(tmp_path) == sorted(["m", *(folder.name for folder in theirs)])


def test_a_room_that_was_taken_for_one_left_behind_is_made_again(tmp_path, monkeypatch):
    """A room is made and then locked, and another process may come in between."""
    made = []
    locked = StagingFolder._lock_folder.__func__

    def late(cls, path, must):
        if not must and not made:
            made.append(path)
            path.rmdir()
        return locked(cls, path, must)

    monkeypatch.setattr(StagingFolder, "_lock_folder", classmethod(late))
    replace(tmp_path / "m", "file")
    assert (tmp_path / "m").read_text() == "new"
    assert len(made) == 1


def test_without_locks_things_are_written_and_nothing_is_cleaned_up(tmp_path, monkeypatch):
    import fcntl

    def fails(*_):
        raise OSError("no locks available")

    monkeypatch.setattr(fcntl, "flock", fails)
    (tmp_path / ".m.abcdefgh").mkdir()
    replace(tmp_path / "m", "file")
    assert names(tmp_path) == [".m.abcdefgh", "m"]


def test_a_swap_of_what_is_not_there_is_an_error(tmp_path):
    (tmp_path / "a").write_text("a")
    with pytest.raises(FileNotFoundError):
        _exchange.exchange(tmp_path / "a", tmp_path / "b")
    (tmp_path / "b").mkdir()
    if _exchange.exchange(tmp_path / "a", tmp_path / "b"):
        assert (tmp_path / "a").is_dir()
        assert (tmp_path / "b").read_text() == "a"
