"""Computations for which a framework has something faster than Keras' own code."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any


class Kernels(ABC):
    """The fast kernels of a framework.

    Attributes:
        recurrence_begins_with_state: what Keras' recurrent layers return before the first unmasked step: the initial
            state (True), or zeros.
        convolves_groups: whether `keras.ops.conv` of several groups runs on every device, and in every format that a
            model is exported to.
    """

    recurrence_begins_with_state: bool
    convolves_groups: bool

    @abstractmethod
    def recurrence(
        self,
        cell: str,
        x: Any,
        states: Sequence[Any],
        mask: Any | None,
        weights: Sequence[Any],
    ) -> tuple[Any, list[Any]] | None:
        """Run an LSTM or a GRU over a sequence by the fastest means; it can be differentiated like any code.

        Args:
            cell: `"lstm"`, or `"gru"` (with the reset gate after the matrix product); tanh, and sigmoid for the gates.
            x: (batch, time, features), native and floating; batch and time are at least 1.
            states: h and, for an LSTM, c: (batch, units), of x's dtype.
            mask: (batch, time), native booleans: False for a step to skip. Any pattern; None for no mask.
            weights: kernel (features, gates * units), recurrent kernel (units, gates * units) and, where there is one,
                bias: as Keras has them, of x's dtype.

        Returns:
            The state h after each step, (batch, time, units), and the final states, (batch, units) each, all of x's
            dtype. A masked step leaves the states as they are. None where nothing is faster than Keras' own loop.

        Raises:
            ArgumentValueError: the shapes of the arguments do not fit together.
        """
