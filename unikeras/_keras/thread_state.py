"""What Keras keeps for each thread: names that are given, scopes that are open, the global seed generator."""

from __future__ import annotations

from typing import Any

from keras.src.backend.common import global_state


def thread_state() -> dict[str, Any]:
    """Return the dictionary in which Keras keeps this thread's state."""
    return vars(global_state.GLOBAL_STATE_TRACKER)
