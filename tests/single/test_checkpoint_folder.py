"""A folder of checkpoints: which stay, which is best, and who may write."""

from __future__ import annotations

import gc
import json
import os
import random
import shutil
import subprocess
import threading
import types

import numpy as np
import pytest
from helpers.processes import interrupted_at

from unikeras.errors import (
    ArgumentError,
    ArgumentValueError,
    ArtifactNotFound,
    CorruptArtifact,
    OutputError,
)
from unikeras.training import Checkpointer
from unikeras.training.checkpoints import _checkpoint_file, _checkpoint_folder, _folder_lock
from unikeras.training.checkpoints._best_value import BestValue
from unikeras.training.checkpoints._checkpoint_file import Content
from unikeras.training.checkpoints._checkpoint_folder import CheckpointFolder

LOCK = _folder_lock.NAME


class Counter:
    """The smallest object with a state."""

    def __init__(self):
        self.count, self.table = 0, np.zeros(2)

    @property
    def state(self):
        return {"count": self.count, "table": self.table}

    def restore(self, state):
        self.count, self.table = state["count"], state["table"]


@pytest.fixture
def counter():
    return Counter()


@pytest.fixture
def make(tmp_path, counter):
    """A checkpointer of a counter, in a folder that does not exist yet."""
    return lambda **arguments: Checkpointer(tmp_path / "run", counter=counter, **arguments)


def save(checkpointer, counter, count, **values):
    counter.count = count
    return checkpointer.save(values or None)


def names(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != LOCK)


def name(number):
    return f"checkpoint-{number:08d}.ukckpt"


# Save, restore, latest


def test_a_folder_that_is_missing_or_empty_has_no_checkpoint(tmp_path, make):
    checkpointer = make()
    assert (checkpointer.latest, checkpointer.best, checkpointer.restore()) == (None, None, None)
    assert not checkpointer.folder.exists()
    checkpointer.folder.mkdir()
    assert (checkpointer.latest, checkpointer.best, checkpointer.restore()) == (None, None, None)


def test_the_newest_is_restored_and_any_other_by_its_path(make, counter):
    checkpointer = make()
    first, second = (save(checkpointer, counter, count) for count in (1, 2))
    counter.count = 9
    assert checkpointer.restore() == second == checkpointer.latest
    assert counter.count == 2
    assert checkpointer.restore(str(first)) == first
    assert counter.count == 1
    with pytest.raises(ArtifactNotFound):
        checkpointer.restore(checkpointer.folder / "none")


def test_the_folder_stays_where_it_was_when_the_working_directory_changes(tmp_path, counter, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpointer = Checkpointer("run", counter=counter)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert checkpointer.save().parent == tmp_path / "run"


# keep and best


def test_only_the_newest_stay(make, counter):
    checkpointer = make(keep=2)
    for count in range(5):
        save(checkpointer, counter, count)
    assert names(checkpointer.folder) == [name(4), name(5)]
    assert checkpointer.best is None


def test_all_stay(make, counter):
    checkpointer = make(keep=None)
    for count in range(5):
        save(checkpointer, counter, count)
    assert len(names(checkpointer.folder)) == 5


@pytest.mark.parametrize(
    ("best", "values", "number"),
    [
        ("val_loss", [3, 1, 2, 4, 5], 2),
        ("val_accuracy", [3, 9, 2, 4, 5], 2),
        (("bleu", "max"), [3, 1, 2, 1, 1], 1),
        (("bleu", "min"), [3, 1, 1, 1, 1], 2),
        ("val_loss", [float("nan"), 2, float("nan"), 4, 5], 2),
        ("val_loss", [3, float("-inf"), 1, 1, 1], 2),
    ],
)
def test_the_best_one_stays_besides(make, counter, best, values, number):
    checkpointer = make(keep=1, best=best)
    for count, value in enumerate(values):
        save(checkpointer, counter, count, **{best if isinstance(best, str) else best[0]: value})
    assert names(checkpointer.folder) == [name(number), name(5)]
    assert checkpointer.best.name == name(number)
    assert checkpointer.latest.name == name(5)


def test_nothing_but_nan_is_no_best(make, counter):
    checkpointer = make(best="val_loss")
    save(checkpointer, counter, 1, val_loss=float("nan"))
    assert checkpointer.best is None


def test_a_checkpoint_without_values_is_no_best_and_does_not_end_one(make, counter):
    checkpointer = make(keep=1, best="val_loss")
    save(checkpointer, counter, 1, val_loss=0.5)
    for count in (2, 3):
        save(checkpointer, counter, count)
    assert names(checkpointer.folder) == [name(1), name(3)]
    with pytest.warns(UserWarning, match="has no 'val_loss', .* it has loss"):
        save(checkpointer, counter, 4, loss=0.1)
    assert checkpointer.best.name == name(1)


def test_who_does_not_ask_for_the_best_does_not_delete_it(make, counter):
    save(make(keep=1, best="val_loss"), counter, 1, val_loss=0.5)
    later = make(keep=1)
    for count in (2, 3):
        save(later, counter, count)
    assert names(later.folder) == [name(1), name(3)]
    assert later.best.name == name(1)


def test_nothing_is_deleted_before_the_new_one_is_there(make, counter, monkeypatch):
    checkpointer = make(keep=1, best="val_loss")
    save(checkpointer, counter, 1, val_loss=0.5)

    def fail(*_):
        raise OutputError("the disk is full")

    monkeypatch.setattr(_checkpoint_file, "_verify", fail)
    with pytest.raises(OutputError, match="full"):
        save(checkpointer, counter, 2, val_loss=0.1)
    assert names(checkpointer.folder) == [name(1)]


def test_an_old_one_that_cannot_be_deleted_is_a_warning(make, counter, monkeypatch):
    checkpointer = make(keep=1)
    save(checkpointer, counter, 1)

    def fail(*_, **__):
        raise PermissionError("not permitted")

    monkeypatch.setattr(_checkpoint_folder.Path, "unlink", fail)
    with pytest.warns(UserWarning, match="cannot delete old checkpoints"):
        assert save(checkpointer, counter, 2) == checkpointer.latest


@pytest.mark.parametrize(
    ("best", "mode"), [("loss", "min"), ("val_mae", "min"), ("val_auc_1", "max"), ("acc", "max")]
)
def test_the_direction_of_common_names_is_known(best, mode):
    assert BestValue.of(best) == BestValue(best, mode)


# Damage


def test_a_damaged_newest_is_skipped_with_a_warning(make, counter):
    checkpointer = make()
    paths = [save(checkpointer, counter, count) for count in (1, 2, 3)]
    paths[2].write_bytes(paths[2].read_bytes()[:-30])
    content = bytearray(paths[1].read_bytes())
    content[content.index(b"checkpoint-") if b"checkpoint-" in content else len(content) // 2] ^= 1
    paths[1].write_bytes(bytes(content))
    with pytest.warns(UserWarning, match=rf"(?s){name(3)}.*{name(2)}.*Restored {name(1)} instead"):
        assert checkpointer.restore() == paths[0]
    assert counter.count == 1
    for path in paths[1:]:
        with pytest.raises(CorruptArtifact, match=path.name):
            checkpointer.restore(path)
    assert counter.count == 1


def test_a_damaged_one_is_neither_latest_nor_best_nor_one_of_those_that_stay(make, counter):
    checkpointer = make(keep=2, best="val_loss")
    first = save(checkpointer, counter, 1, val_loss=0.5)
    second = save(checkpointer, counter, 2, val_loss=0.1)
    second.write_bytes(second.read_bytes()[:100])
    assert checkpointer.latest == checkpointer.best == first
    third = save(checkpointer, counter, 3, val_loss=0.7)
    assert names(checkpointer.folder) == [first.name, third.name]


FORGED = {
    "other version": lambda objects: objects["random.generators"]["python"].update(version=7),
    "no words": lambda objects: objects["random.generators"]["python"].update(words=[1, 2]),
    "no arrays": lambda objects: objects["random.generators"]["python"].update(words={"$array": "none"}),
    "numpy": lambda objects: objects["random.generators"].update(numpy={"x": 1}),
    "seed": lambda objects: objects["random.generators"].update(keras=[1, 2, 3]),
    "none": lambda objects: objects.update({"random.generators": None}),
    "deep": lambda objects: objects.update(counter=json.loads('{"a":' * 200 + "1" + "}" * 200)),
}


@pytest.mark.parametrize("trick", FORGED)
def test_a_forged_state_is_refused_and_nothing_changes(make, counter, trick):
    checkpointer = make()
    path = save(checkpointer, counter, 1)
    content = _checkpoint_file.read(path)
    FORGED[trick](content.state["objects"])
    _checkpoint_file.write(path, content)
    counter.count, generator, arrays = 9, random.getstate(), np.random.get_state()[1].tolist()
    with pytest.raises(CorruptArtifact, match=path.name):
        checkpointer.restore(path)
    assert counter.count == 9
    assert random.getstate() == generator
    assert np.random.get_state()[1].tolist() == arrays


def test_only_damaged_ones_are_an_error_not_a_new_beginning(make, counter):
    checkpointer = make()
    save(checkpointer, counter, 1).write_bytes(b"")
    with pytest.raises(CorruptArtifact, match=r"no checkpoint in .* can be used"):
        checkpointer.restore()
    assert checkpointer.latest is None
    assert save(checkpointer, counter, 2).name == name(2)  # and its number is not used again


def test_a_newest_of_another_version_is_not_skipped(make, counter, monkeypatch):
    checkpointer = make()
    save(checkpointer, counter, 1)
    with monkeypatch.context() as newer:
        newer.setattr(_checkpoint_file, "VERSION", 2)
        save(checkpointer, counter, 2)
    with pytest.raises(CorruptArtifact, match="version 2"):
        checkpointer.restore()


def test_one_that_is_deleted_meanwhile_is_skipped(make, counter, monkeypatch):
    checkpointer = make()
    paths = [save(checkpointer, counter, count) for count in (1, 2)]
    monkeypatch.setattr(CheckpointFolder, "files", lambda self: [self.path / name(9), *reversed(paths)])
    assert checkpointer.restore() == paths[1]


# Other files, other places


def test_files_that_are_no_checkpoints_are_left_alone(make, counter):
    checkpointer = make(keep=1)
    folder = checkpointer.folder
    folder.mkdir()
    others = [
        "notes.txt",
        name(3),
        "checkpoint-2.ukckpt",
        f"{name(4)}.txt",
        ".checkpoint-00000001.ukckpt.abcdefgh",
    ]
    for other in others:
        (folder / other).write_text("not ours")
    (folder / name(5)).mkdir()
    (folder / name(6)).symlink_to("notes.txt")
    for count in range(3):
        assert save(checkpointer, counter, count).name == name(7 + count)
    assert names(folder) == sorted([*others, name(5), name(6), name(9)])
    assert checkpointer.latest.name == name(9)
    assert checkpointer.restore().name == name(9)


def test_a_file_is_no_folder(tmp_path, counter):
    (tmp_path / "file").write_text("something")
    with pytest.raises(OutputError, match="is a file"):
        Checkpointer(tmp_path / "file", counter=counter)
    later = Checkpointer(tmp_path / "later", counter=counter)
    (tmp_path / "later").write_text("something")
    for use in (later.save, later.restore, lambda: later.latest):
        with pytest.raises(OutputError, match=r"is a file|Not a directory"):
            use()
    with pytest.raises(OutputError):
        Checkpointer(tmp_path / "file" / "below", counter=counter).save()


def test_a_folder_that_cannot_be_written_is_named(make, counter, monkeypatch):
    checkpointer = make()
    checkpointer.folder.mkdir()
    checkpointer.folder.chmod(0o555)
    if os.geteuid() == 0:  # root may write everywhere
        monkeypatch.setattr(_folder_lock.os, "open", _refusing)
    with pytest.raises(OutputError, match=r"cannot write to .*run: Permission denied"):
        checkpointer.save()
    checkpointer.folder.chmod(0o755)


def _refusing(*_, **__):
    raise PermissionError(13, "Permission denied")


def test_a_removed_folder_is_named_once_and_then_begun_anew(make, counter):
    checkpointer = make()
    save(checkpointer, counter, 1)
    shutil.rmtree(checkpointer.folder)
    with pytest.raises(OutputError, match="was removed or replaced while this run saved there"):
        save(checkpointer, counter, 2)
    assert save(checkpointer, counter, 2) == checkpointer.restore()


def test_a_lock_that_was_deleted_is_taken_again(make, counter):
    checkpointer = make()
    save(checkpointer, counter, 1)
    (checkpointer.folder / LOCK).unlink()
    save(checkpointer, counter, 2)
    assert (checkpointer.folder / LOCK).exists()


def test_a_name_that_is_too_long_is_named(tmp_path, counter):
    with pytest.raises(OutputError, match="File name too long"):
        Checkpointer(tmp_path / ("x" * 300), counter=counter).save()


@pytest.mark.parametrize("path", [3, "", "a\0b"])
def test_a_path_that_is_none_is_refused(make, path):
    with pytest.raises(ArgumentError, match="path has to be a path"):
        make().restore(path)


# Two runs


OTHER = """
import sys
from pathlib import Path
from unikeras.errors import OutputError
from unikeras.training.checkpoints._checkpoint_file import Content
from unikeras.training.checkpoints._checkpoint_folder import CheckpointFolder
folder = CheckpointFolder(Path("run"))
try:
    print(folder.add(Content({}), 1, None).name, flush=True)
except OutputError as error:
    print(error, flush=True)
sys.stdin.read(1)
"""


@pytest.fixture
def other_run(start_script):
    return lambda: start_script(OTHER, stdout=subprocess.PIPE, stdin=subprocess.PIPE)


def test_a_second_run_is_refused_until_the_first_one_ends(make, counter, other_run):
    first = make()
    save(first, counter, 1)
    before = names(first.folder)
    other = other_run()
    message = other.stdout.readline()
    assert f"is in use: process {os.getpid()} on " in message
    assert "give each run a folder of its own" in message
    assert names(first.folder) == before
    other.communicate("x")
    first.close()
    other = other_run()
    assert other.stdout.readline().strip() == name(2)
    with pytest.raises(OutputError, match=f"process {other.pid} on"):
        save(first, counter, 3)
    assert first.latest.name == name(2)  # reading takes no lock
    other.kill()
    other.wait()
    assert save(first, counter, 3).name == name(3)


def test_a_lock_ends_with_the_last_checkpointer_of_the_process(make, counter, other_run):
    first, second = make(), make()
    save(first, counter, 1), save(second, counter, 2)
    del first
    gc.collect()
    assert "in use" in other_run().stdout.readline()
    with second:
        pass
    assert other_run().stdout.readline().strip() == name(3)


def test_a_fork_is_another_run(run_script):
    printed = run_script(
        """
        import os
        from pathlib import Path
        from unikeras.errors import OutputError
        from unikeras.training.checkpoints._checkpoint_file import Content
        from unikeras.training.checkpoints._checkpoint_folder import CheckpointFolder
        folder = CheckpointFolder(Path("run"))
        folder.add(Content({}), 1, None)
        if (pid := os.fork()) == 0:
            try:
                folder.add(Content({}), 1, None)
            except OutputError as error:
                print(error, flush=True)
            os._exit(0)
        os.waitpid(pid, 0)
        print(folder.add(Content({}), 1, None).name)
        """
    )
    refused, saved = printed.strip().splitlines()
    assert "is in use: process" in refused
    assert saved == name(2)


def test_what_a_killed_run_left_is_cleaned_up(tmp_path, make, counter, start_script):
    checkpointer = make(keep=1)
    script = start_script(
        """
        import os, signal
        from pathlib import Path
        import numpy as np
        from unikeras.training.checkpoints import _checkpoint_file
        from unikeras.training.checkpoints._checkpoint_folder import CheckpointFolder
        _checkpoint_file._verify = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        CheckpointFolder(Path("run")).add(_checkpoint_file.Content({}, {"a": np.zeros(1000)}), 1, None)
        """
    )
    script.wait(60)
    (left,) = names(checkpointer.folder)
    assert left.startswith(f".{name(1)}.")
    assert save(checkpointer, counter, 1).name == name(1)
    assert names(checkpointer.folder) == [name(1)]


def test_a_file_system_without_locks_is_used_with_a_warning(make, counter, monkeypatch):
    def refuse(*_):
        raise OSError(95, "Operation not supported")

    fake = types.SimpleNamespace(flock=refuse, LOCK_EX=2, LOCK_NB=4)
    monkeypatch.setattr(_folder_lock, "fcntl", fake)
    checkpointer = make()
    with pytest.warns(UserWarning, match="has no locks"):
        save(checkpointer, counter, 1)
    save(checkpointer, counter, 2)


def test_windows_locks_a_byte(make, counter, monkeypatch):
    taken = []
    fake = types.SimpleNamespace(locking=lambda *arguments: taken.append(arguments), LK_NBLCK=2)
    monkeypatch.setattr(_folder_lock, "fcntl", None)
    monkeypatch.setattr(_folder_lock, "msvcrt", fake, raising=False)
    save(make(), counter, 1)
    ((_, mode, count),) = taken
    assert (mode, count) == (2, 1)


# Threads and signals


def test_threads_take_turns(make, counter):
    checkpointers = [make(keep=None), make(keep=None)]
    threads = [
        threading.Thread(target=lambda one=one: [one.save() for _ in range(5)]) for one in checkpointers * 2
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names(checkpointers[0].folder) == [name(number) for number in range(1, 21)]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it may fall into a finalizer
def test_an_interrupt_anywhere_leaves_the_old_one_or_the_new_one(tmp_path):
    """The save is interrupted at instructions spread over all of it."""
    folder = CheckpointFolder(tmp_path / "run")
    best = BestValue("loss", "min")
    written = 0

    def work():
        folder.add(Content({"n": written + 1, "values": {"loss": 1.0}}, {"a": np.zeros(3)}), 1, best)

    work()
    written, instruction, rounds = 1, 1, 0
    while interrupted_at(instruction, work):
        newest = CheckpointFolder(tmp_path / "run").files()[0]
        found = _checkpoint_file.read(newest).state["n"]
        assert found in (written, written + 1)
        written, instruction, rounds = found, instruction * 9 // 8 + 5, rounds + 1
    assert rounds > 20
    work()
    assert names(tmp_path / "run") == [name(1), folder.latest().name]


# Arguments


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"folder": 3}, ArgumentError, "folder has to be a path"),
        ({"folder": ""}, ArgumentError, "folder has to be a path"),
        ({"folder": b"run"}, ArgumentError, "folder has to be a path"),
        ({"keep": 0}, ArgumentValueError, "at least 1"),
        ({"keep": True}, ArgumentError, "keep has to be an int"),
        ({"keep": 2.0}, ArgumentError, "keep has to be an int"),
        ({"best": "val_bleu"}, ArgumentValueError, r"pass best=\('val_bleu', 'min'\)"),
        ({"best": ("loss", "least")}, ArgumentValueError, "'min' or 'max'"),
        ({"best": 3}, ArgumentError, "best has to be a name"),
        ({"model": "model"}, ArgumentError, "model has to be a Keras model"),
        ({"optimizer": "adam"}, ArgumentError, "optimizer has to be a Keras optimizer"),
        ({"metrics": "accuracy"}, ArgumentError, "metrics has to be Keras metrics"),
        ({"data": np.zeros(3)}, ArgumentError, "data=.* cannot be saved"),
        ({"folder": "a\0b"}, ArgumentError, "folder has to be a path"),
        ({"random.generators": 3}, ArgumentError, "has to be an identifier"),
        ({"anything": object()}, ArgumentError, "anything=.* cannot be saved"),
    ],
)
def test_wrong_arguments_are_named(tmp_path, arguments, error, message):
    with pytest.raises(error, match=message):
        Checkpointer(**{"folder": tmp_path, **arguments})


@pytest.mark.parametrize("values", [3, ["loss"], {"loss": "low"}, {"loss": None}, {"loss": [1, 2]}])
def test_values_are_numbers(make, values):
    checkpointer = make()
    with pytest.raises(ArgumentError, match="values"):
        checkpointer.save(values)
    assert not checkpointer.folder.exists()


def test_values_may_be_numpy_scalars(make):
    checkpointer = make(best="val_loss")
    checkpointer.save({"val_loss": np.float32(0.5), "n": np.int64(3)})
    assert checkpointer.best == checkpointer.latest


def test_a_state_that_no_file_holds_is_named_and_nothing_is_written(make, counter):
    checkpointer = make()
    counter.table = object()
    with pytest.raises(ArgumentError, match="counter/table"):
        checkpointer.save()
    assert not checkpointer.folder.exists()
