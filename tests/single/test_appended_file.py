"""Files that grow while a model trains: failing disks, folders that go, forks, kills."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap

import pytest

from unikeras import errors
from unikeras.callbacks._appended_file import AppendedFile


def test_records_are_appended(tmp_path):
    path = tmp_path / "new" / "file"
    for part in (b"a", b"b"):
        file = AppendedFile(path, b"head")
        file.append(part)
        assert path.read_bytes()[-1:] != part
        file.flush(sync=True)
        assert path.read_bytes()[-1:] == part
        file.close()
        file.close()
    assert path.read_bytes() == b"headab"


def test_what_is_pending_is_written_when_it_goes(tmp_path):
    file = AppendedFile(tmp_path / "file")
    file.append(b"a")
    del file
    assert (tmp_path / "file").read_bytes() == b"a"


def test_a_deleted_folder_is_made_anew(tmp_path):
    path = tmp_path / "logs" / "file"
    file = AppendedFile(path, b"head")
    file.append(b"a")
    file.flush()
    shutil.rmtree(path.parent)
    file.append(b"b")
    file.flush()
    assert path.read_bytes() == b"headb"
    file.close()


def test_a_full_disk_is_one_warning_and_loses_nothing(tmp_path):
    script = f"""
        import resource, signal, warnings
        from pathlib import Path
        from unikeras.callbacks._appended_file import AppendedFile
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        path = Path({str(tmp_path / "file")!r})
        file = AppendedFile(path)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for limit in (50, 50, 50, resource.RLIM_INFINITY):
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
                for _ in range(2):
                    file.append(b"x" * 19 + b"|")
                    file.flush()
                print(path.stat().st_size % 20, end=" ")
        assert [str(one.message).partition(": ")[2][:14] for one in caught] == ["File too large"], caught
        assert path.read_bytes() == (b"x" * 19 + b"|") * 8
        """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "0 0 0 0 "  # never a part of a record


def test_too_much_pending_is_dropped(tmp_path, monkeypatch):
    monkeypatch.setattr("unikeras.callbacks._appended_file.MOST_PENDING", 10)
    file = AppendedFile(tmp_path / "file")
    file.append(b"123456")
    with pytest.warns(UserWarning, match="is lost"):
        file.append(b"7890123")
    file.close()
    assert (tmp_path / "file").read_bytes() == b"123456"


def test_a_fork_writes_nothing(run_script, tmp_path):
    run_script(
        """
        import os
        from pathlib import Path
        from unikeras.callbacks._appended_file import AppendedFile
        file = AppendedFile(Path("file"))
        file.append(b"a")
        if (child := os.fork()) == 0:
            file.append(b"b")
            file.flush()
            file.close()
            os._exit(0)
        os.waitpid(child, 0)
        file.close()
        """
    )
    assert (tmp_path / "file").read_bytes() == b"a"


def test_a_path_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "below"):
        with pytest.raises(errors.OutputError, match="cannot write"):
            AppendedFile(path)
