"""Torch's recurrent modules under any mask, as they are written out into source files."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MaskedSteps(nn.RNNBase):
    """Skips masked steps: they keep the state and repeat the output before them."""

    def forward(self, x: Tensor, mask: Tensor, state: Any = None) -> Any:
        """Run over x (batch, time, features); mask (batch, time) is False where a step is skipped."""
        lengths = mask.sum(1)
        seen = mask.cumsum(1)
        # Unmasked steps go to the front, where the kernel meets them one after the other.
        order = torch.argsort((~mask).int(), dim=1, stable=True)
        x = x.gather(1, order.unsqueeze(-1).expand_as(x))
        packed = nn.utils.rnn.pack_padded_sequence(
            x, lengths.clamp(min=1).cpu(), batch_first=True, enforce_sorted=False
        )
        packed, last = super().forward(packed, state)
        outputs, _ = nn.utils.rnn.pad_packed_sequence(packed, batch_first=True, total_length=mask.shape[1])
        empty = lengths == 0
        outputs = outputs.masked_fill(empty.view(-1, 1, 1), 0.0)
        # What comes before the first unmasked step, and on the way back behind the last one, is zero.
        outputs = F.pad(outputs, (0, 0, 1, 1))
        places = [seen, seen + (~mask).int()]
        ways = outputs.chunk(2, -1) if self.bidirectional else [outputs]
        spread = [
            way.gather(1, place.unsqueeze(-1).expand(-1, -1, way.shape[-1]))
            for way, place in zip(ways, places, strict=False)
        ]
        return torch.cat(spread, -1), self._kept(last, state, empty)

    def _kept(self, last: Any, state: Any, empty: Tensor) -> Any:
        """Return the final states: where no step was unmasked, those that it began with."""
        if isinstance(last, tuple):
            first = (None, None) if state is None else state
            return tuple(self._kept(one, begun, empty) for one, begun in zip(last, first, strict=True))
        return torch.where(empty.view(1, -1, 1), torch.zeros_like(last) if state is None else state, last)


class MaskedLSTM(MaskedSteps, nn.LSTM):
    """An LSTM that takes a mask of steps."""


class MaskedGRU(MaskedSteps, nn.GRU):
    """A GRU that takes a mask of steps."""


class MaskedRNN(MaskedSteps, nn.RNN):
    """A simple recurrence that takes a mask of steps."""
