"""Cells on top of one another, which step together: without a mask, one recurrence after the other."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from unikeras.lowering.modules.recurrent_cells import Recurrence


class StackedRecurrence(nn.Module):
    """Recurrences of which each takes the outputs of the one below.

    Args:
        parts: the recurrences, from below; only the first may run backwards.
    """

    def __init__(self, parts: Sequence[Recurrence]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the outputs (batch, time, units) and the last of them (batch, units)."""
        last = x[:, -1]
        for part in self.parts:
            x, last, *_ = part(x)
        return x, last
