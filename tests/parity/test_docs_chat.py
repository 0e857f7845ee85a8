"""The tutorial of the chat: each way on its own framework, ours on every backend."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import unikeras as uk

PAGE = Path(__file__).parents[2] / "docs" / "chat.md"
THEIRS = {"TensorFlow and Keras": "tensorflow", "PyTorch": "torch"}


def blocks_by_heading() -> dict[str, list[str]]:
    """Return the page's Python by the heading that it stands under."""
    parts = re.split(r"^#+ (.*)$", PAGE.read_text(), flags=re.MULTILINE)
    found = zip(parts[1::2], parts[2::2], strict=True)
    return {title: re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S) for title, text in found}


def run(code: str, folder: str) -> list[str]:
    """Run code in a folder, and return what it leaves there."""
    import contextlib
    from pathlib import Path

    with contextlib.chdir(folder):
        exec(compile(code, "chat.md", "exec"), {"__name__": "page"})
        return sorted(path.name for path in Path.cwd().iterdir())


@pytest.mark.parametrize("heading", THEIRS)
def test_their_ways_run(heading, tmp_path):
    (code,) = blocks_by_heading()[heading]
    if THEIRS[heading] not in uk.backends.available():
        pytest.skip(f"{THEIRS[heading]} is not installed")
    assert len(uk.run_on(THEIRS[heading], run, code, str(tmp_path), timeout=300)) == 1


@pytest.mark.parametrize("backend", uk.backends.available())
def test_the_page_runs(backend, tmp_path):
    blocks = [code for title, found in blocks_by_heading().items() if title not in THEIRS for code in found]
    assert len(blocks) == 4
    left = uk.run_on(backend, run, "\n".join(blocks), str(tmp_path), timeout=300)
    assert {"memory.db", "model.keras", "users.db"} <= set(left)
