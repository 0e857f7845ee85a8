"""Matrices that take turns: the parts are the whole, each about as large, and the same in each process."""

from __future__ import annotations

import subprocess

import pytest
from helpers import rotation

CELLS = [f"{row}-{column}" for row in range(15) for column in range(6)]


@pytest.mark.parametrize("parts", [1, 2, 4, 8])
def test_eight_runs_take_each_cell(parts):
    taken = [rotation.take(CELLS, part, parts) for part in range(rotation.PARTS)]
    assert set().union(*taken) == set(CELLS)
    assert sum(map(len, taken[:parts])) == len(CELLS)
    assert max(map(len, taken)) - min(map(len, taken)) <= 1


def test_a_part_does_not_depend_on_the_order_or_on_repetitions():
    assert rotation.take(CELLS[::-1] + CELLS, 3) == rotation.take(CELLS, 3)


def test_no_part_is_all_of_one_column():
    for part in range(rotation.PARTS):
        assert len({cell.partition("-")[2] for cell in rotation.take(CELLS, part)}) > 2


def test_the_commit_decides(tmp_path):
    git = [
        "git",
        "-C",
        str(tmp_path),
        "-c",
        "user.name=n",
        "-c",
        "user.email=e",
        "-c",
        "commit.gpgsign=false",
    ]
    assert rotation.part_of_commit(tmp_path) == (0, "no commit here")
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "m"], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout
    assert rotation.part_of_commit(tmp_path) == (int(commit[-2], 16) % 8, f"commit {commit[:12]}")
