"""Parts of large test matrices that take turns: each run takes one part, and all parts are the whole.

A test marked `rotated("cell")` runs for a part of the values of its parameter `cell`. The commit decides which part
that is, so that every run of a commit is the same, and the next commit most likely takes another.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

PARTS = 8
ROOT = Path(__file__).parents[2]


def part_of_commit(root: Path = ROOT) -> tuple[int, str]:
    """Return the part that the current commit takes, and the words that say why it is this one."""
    command = ["git", "-C", str(root), "rev-parse", "HEAD"]
    try:
        commit = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return 0, "no commit here"
    return int(commit, 16) % PARTS, f"commit {commit[:12]}"


def take(cells: Iterable[str], part: int, parts: int = PARTS) -> set[str]:
    """Return one part of the cells; the parts differ in size by one cell at most, and share none.

    Args:
        cells: their names. The order does not matter.
        part: from 0 to `PARTS` - 1.
        parts: a divisor of `PARTS`, smaller where each run has to take more.
    """
    # By a digest, not by place: a step of `parts` through a table would meet the same columns in each row.
    ordered = sorted(set(cells), key=lambda cell: hashlib.sha256(cell.encode()).digest())
    return set(ordered[part % parts :: parts])


def name_of(values: Sequence[object]) -> str:
    """Return the name of a cell, the same one in each process."""
    return "-".join(getattr(value, "__name__", None) or str(value) for value in values)
