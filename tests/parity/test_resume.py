"""A run that was killed under one backend goes on under another: inside of uk.random.portable to the same losses."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import resumed_runs

import unikeras as uk

BACKENDS = uk.backends.available()
PAIRS = [(one, other) for one in BACKENDS for other in BACKENDS if one != other]

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.rotated("pair")
@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_a_run_goes_on_under_another_backend(pair, tmp_path):
    first, second = pair
    rows, _ = uk.run_on(first, resumed_runs.run_portable, tmp_path / "run", timeout=120)
    killed = resumed_runs.folder_at(tmp_path / "run", (1, 2), tmp_path / "killed")
    rest, warned = uk.run_on(second, resumed_runs.run_portable, killed, 99, timeout=120)
    assert warned == []
    assert list(rest) == list(rows)[-len(rest) :]
    for row, values in rest.items():
        np.testing.assert_allclose(values, rows[row], rtol=1e-5, atol=1e-5, err_msg=str(row))
    again = resumed_runs.folder_at(tmp_path / "run", (1, 2), tmp_path / "again")
    keys, warned = uk.run_on(second, resumed_runs.go_on, again, timeout=120)
    assert keys == list(rest)
    assert any("random draws" in one for one in warned)
