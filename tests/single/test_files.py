"""Files and folders are written atomically."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time

import pytest

from unikeras._base.files import whole
from unikeras.errors import OutputError


def _names(folder):
    return [path.name for path in folder.iterdir()]


def test_a_file_replaces_the_old_one(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with whole(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert (temporary.name, temporary.suffix) == ("a.txt", ".txt")
    assert path.read_text() == "new"
    assert _names(tmp_path) == ["a.txt"]


def test_a_folder_replaces_the_old_one(tmp_path):
    path = tmp_path / "model"
    (path / "old").mkdir(parents=True)
    with whole(path) as temporary:
        (temporary / "deep").mkdir(parents=True)
        (temporary / "deep" / "new").write_text("x")
    assert [p.name for p in path.rglob("*")] == ["deep", "new"]
    assert _names(tmp_path) == ["model"]


def _write_and_fail(path, error):
    with whole(path) as temporary:
        temporary.write_text("half")
        raise error


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(KeyError):
        _write_and_fail(path, KeyError("x"))
    assert path.read_text() == "old"
    assert _names(tmp_path) == ["a.txt"]


def test_a_full_disk_is_an_output_error_that_names_the_file(tmp_path):
    with pytest.raises(OutputError, match=r"a\.txt: No space left on device"):
        _write_and_fail(tmp_path / "a.txt", OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert _names(tmp_path) == []


def test_a_path_below_a_file_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write to"), whole(tmp_path / "file" / "a.txt"):
        pass


def test_writing_nothing_is_an_error(tmp_path):
    with pytest.raises(OutputError, match="nothing was written"), whole(tmp_path / "a.txt"):
        pass
    assert _names(tmp_path) == []


WRITER = """
import sys
from unikeras._base.files import whole
n = 0
while True:
    n += 1
    with whole(sys.argv[1]) as temporary:
        with open(temporary, "w") as file:
            for _ in range(200):
                file.write(f"{n % 10}" * 1000)
"""


@pytest.mark.parametrize("attempt", range(5))
def test_a_kill_in_the_middle_leaves_a_whole_file(tmp_path, attempt):
    path = tmp_path / "a.txt"
    path.write_text("0" * 200_000)
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)])
    time.sleep(0.3 + 0.05 * attempt)
    writer.kill()
    writer.wait()
    content = path.read_text()
    assert len(content) == 200_000
    assert len(set(content)) == 1


def test_two_files_appear_together_or_not_at_all(tmp_path):
    final = tmp_path / "m.xml"
    with pytest.raises(OutputError, match=r"nothing was written for .*m\.bin"), whole(final, ".bin") as path:
        path.write_text("graph")
    assert list(tmp_path.iterdir()) == []
    for content in ("first", "second"):
        with whole(final, ".bin") as path:
            path.write_text(content)
            path.with_suffix(".bin").write_text(content)
        assert [file.read_text() for file in sorted(tmp_path.iterdir())] == [content, content]
