"""What runs in workers stands in modules that they can import by name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from unikeras import workers

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="module")
def one_thread():
    """Compute on one thread: operations this small wait longer for a second one than it takes off them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        workers.shutdown()
        yield
    workers.shutdown()
