"""The page about memory, run from top to bottom on every backend."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import unikeras as uk

PAGE = Path(__file__).parents[2] / "docs" / "memory.md"


def run(code: str, folder: str) -> list[str]:
    """Run the page in a folder, and return the sessions that it leaves in its file."""
    import contextlib

    import unikeras as uk

    names: dict = {"__name__": "page"}
    with contextlib.chdir(folder):
        exec(compile(code, "memory.md", "exec"), names)
        with uk.memory.SQLiteStore("memory.db") as store:
            return list(store.ids())


@pytest.mark.parametrize("backend", uk.backends.available())
def test_the_page_runs(backend, tmp_path):
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    left = uk.run_on(backend, run, "\n".join(blocks), str(tmp_path), timeout=300)
    assert left == ["alice", "alice, if she had said no", "bob"]
    assert (tmp_path / "backups" / "big.db").exists()
