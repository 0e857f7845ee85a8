"""Which byte comes next: the likeliest, or one drawn."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from unikeras.errors import ArgumentValueError


class Sampler:
    """Draws bytes from logits.

    Args:
        temperature: divides the logits; 0 chooses the largest.
        seed: sampling seed; None for nondeterministic sampling.

    Raises:
        ArgumentValueError: the temperature is negative or not finite, or the seed is negative.

    Example:
        >>> Sampler(0.0).next_byte(np.array([0.1, 2.0, 0.3]))
        1
    """

    def __init__(self, temperature: float, seed: int | None = None) -> None:
        problems = []
        if not (math.isfinite(temperature) and temperature >= 0):
            problems.append(f"temperature is 0 or more and finite; received {temperature!r}")
        if seed is not None and seed < 0:
            problems.append(f"seed is 0 or more; received {seed!r}")
        if problems:
            raise ArgumentValueError("; ".join(problems))
        self._temperature = temperature
        self._rng = np.random.default_rng(seed)

    def next_byte(self, logits: Any) -> int:
        """Return a byte.

        Args:
            logits: one for each byte, any float dtype; a byte without one is never chosen.
        """
        if self._temperature == 0:
            return int(np.argmax(logits))
        # A division by a small temperature may overflow in float32, and exp without the maximum in any.
        scaled = (np.asarray(logits, "float64") - np.max(logits)) / self._temperature
        weights = np.exp(scaled)
        return int(self._rng.choice(len(weights), p=weights / weights.sum()))
