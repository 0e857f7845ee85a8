"""What adds noise in training and torch has no module for, as it is written out into source files."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class GaussianNoise(nn.Module):
    """Adds noise of a standard deviation in training."""

    def __init__(self, stddev: float) -> None:
        super().__init__()
        self.stddev = stddev

    def forward(self, x: Tensor) -> Tensor:
        """Return x with noise, or x."""
        return x + self.stddev * torch.randn_like(x) if self.training else x


class GaussianDropout(nn.Module):
    """Multiplies by noise in training, of the variance that dropout has."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Return x with noise, or x."""
        if not self.training:
            return x
        return x * (1 + (self.rate / (1 - self.rate)) ** 0.5 * torch.randn_like(x))


class StochasticDepth(nn.Module):
    """Drops whole samples in training, and scales the others up."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Return x without the dropped samples, or x."""
        if not self.training:
            return x
        kept = torch.rand(x.shape[0], device=x.device) >= self.rate
        scale = kept.to(x.dtype) / (1 - self.rate)
        return x * scale.view(-1, *[1] * (x.dim() - 1))
