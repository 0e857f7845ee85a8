"""What the comparisons of backends share."""

from __future__ import annotations

import pytest

from unikeras import workers


@pytest.fixture(scope="module")
def one_thread():
    """Compute on one thread: operations this small wait longer for a second one than it takes off them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        workers.shutdown()
        yield
    workers.shutdown()
