"""The seed generator that Keras makes for draws without a seed of their own."""

from __future__ import annotations

from typing import Any

import keras
from keras.src.backend.common import global_state
from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR


def global_seed_state() -> Any | None:
    """Return the variable that holds its state, of shape (2,); None where nothing has drawn from it yet."""
    generator = global_state.get_global_attribute(GLOBAL_SEED_GENERATOR)
    return None if generator is None else generator.state


def set_global_seed_state(state: Any | None) -> None:
    """Give it a state, an integer array of shape (2,); None lets the next draw make it anew."""
    if state is None:
        global_state.set_global_attribute(GLOBAL_SEED_GENERATOR, None)
        return
    generator = global_state.get_global_attribute(GLOBAL_SEED_GENERATOR)
    if generator is None:
        generator = keras.random.SeedGenerator(0)  # a seed, so that none is drawn from Python's generator
        global_state.set_global_attribute(GLOBAL_SEED_GENERATOR, generator)
    generator.state.assign(state)
