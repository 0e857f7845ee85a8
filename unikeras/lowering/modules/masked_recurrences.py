"""Torch's recurrent modules under any mask, as they are written out into source files."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - its name in the written files
from torch import Tensor, nn


class MaskedSteps(nn.RNNBase):
    """Skips masked steps: they keep the state and repeat the output before them."""

    def forward(self, x: Tensor, mask: Tensor, state: Any = None) -> Any:
        """Run over x (batch, time, features), where mask (batch, time) is True."""
        lengths, seen = mask.sum(1), mask.cumsum(1)
        empty = lengths == 0
        # The unmasked steps go to the front, one after the other.
        order = torch.argsort((~mask).int(), dim=1, stable=True)
        packed = nn.utils.rnn.pack_padded_sequence(
            x.gather(1, order.unsqueeze(-1).expand_as(x)),
            lengths.clamp(min=1).cpu(),
            batch_first=True,
            enforce_sorted=False,
        )
        packed, last = super().forward(packed, state)
        outputs, _ = nn.utils.rnn.pad_packed_sequence(
            packed,
            batch_first=True,
            total_length=mask.shape[1],
        )
        # Each step takes the output of the last unmasked one on its way, or zeros.
        outputs = outputs.masked_fill(empty.view(-1, 1, 1), 0.0)
        outputs = F.pad(outputs, (0, 0, 1, 1))
        ways = outputs.chunk(2, -1) if self.bidirectional else [outputs]
        places = [seen, seen + (~mask).int()]
        spread = []
        for way, place in zip(ways, places, strict=False):
            index = place.unsqueeze(-1).expand(-1, -1, way.shape[-1])
            spread.append(way.gather(1, index))
        return torch.cat(spread, -1), self._kept(last, state, empty)

    def _kept(self, last: Any, state: Any, empty: Tensor) -> Any:
        """Return the final states; without an unmasked step, the first ones."""
        if isinstance(last, tuple):
            first = state or (None, None)
            return tuple(self._kept(last[n], first[n], empty) for n in (0, 1))
        first = torch.zeros_like(last) if state is None else state
        return torch.where(empty.view(1, -1, 1), first, last)


class MaskedLSTM(MaskedSteps, nn.LSTM):
    """An LSTM that takes a mask of steps."""


class MaskedGRU(MaskedSteps, nn.GRU):
    """A GRU that takes a mask of steps."""


class MaskedRNN(MaskedSteps, nn.RNN):
    """A simple recurrence that takes a mask of steps."""
