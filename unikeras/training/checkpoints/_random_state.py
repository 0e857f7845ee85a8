"""The generators of the process: Python's, numpy's, Keras' for draws without a seed, and the framework's."""

from __future__ import annotations

import random
import warnings
from typing import Any

import numpy as np

from unikeras import backends
from unikeras.errors import CorruptArtifact
from unikeras.random import current as open_portable


class RandomState:
    """The state of the process' generators, by the protocol of all that a checkpoint holds."""

    @property
    def state(self) -> dict[str, Any]:
        """The state of each generator."""
        from unikeras._keras.global_seed import global_seed_state

        backend = backends.current()
        version, words, gauss = random.getstate()
        seed = global_seed_state()
        portable = open_portable()
        return {
            "portable": None if portable is None else portable.state,
            "python": {"version": version, "words": np.array(words, np.uint64), "gauss": gauss},
            "numpy": np.random.get_state(legacy=False),
            "keras": None if seed is None else backend.to_numpy(seed.value),
            backend.name: backend.generator_state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Put the generators back; those of another framework are skipped.

        Raises:
            CorruptArtifact: it is no such state.
        """
        try:
            self._restore(state)
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            raise CorruptArtifact(f"it has no states of generators: {error!s:.200}") from error

    def _restore(self, state: dict[str, Any]) -> None:
        from unikeras._keras.global_seed import set_global_seed_state

        backend = backends.current()
        python = state["python"]
        random.setstate((python["version"], tuple(python["words"].tolist()), python["gauss"]))
        np.random.set_state(state["numpy"])
        set_global_seed_state(state["keras"])
        _restore_portable(state["portable"])
        if state.get(backend.name):
            backend.restore_generator_state(state[backend.name])


def _restore_portable(state: Any) -> None:
    portable = open_portable()
    if state is not None and portable is not None:
        portable.restore(state)
    elif (state is None) != (portable is None):
        there, here = ("inside", "outside") if portable is None else ("outside", "inside")
        warnings.warn(
            f"the checkpoint was saved {there} of uk.random.portable, and is restored {here} of it: the next random "
            "numbers are not those that would have followed",
            stacklevel=2,
        )
