"""An LSTM whose products are convolutions of images."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from unikeras.lowering.modules.recurrent_cells import scripted
from unikeras.lowering.modules.step_loops import activate


class ConvLSTM(nn.Module):
    """A convolutional LSTM over channels-first images, written step by step.

    Args:
        convolution: applied to every image; gives the four gates i, f, g, o, with their bias.
        recurrent: the weights of the state's convolution: (4 * filters, filters, height, width).
        pads: what keeps the state's size under that convolution, last axis first.
        activation: the name of the activation.
        recurrent_activation: the name of the gates' activation.
        backwards: run from the last image to the first.
    """

    def __init__(
        self,
        convolution: nn.Module,
        recurrent: nn.Parameter,
        pads: list[int],
        activation: str,
        recurrent_activation: str,
        backwards: bool = False,
    ) -> None:
        super().__init__()
        self.convolution = convolution
        self.recurrent = recurrent
        self.pads = pads
        self.activation = activation
        self.recurrent_activation = recurrent_activation
        self.backwards = backwards

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Run over images.

        Args:
            x: (batch, time, channels, height, width), padded for the convolution.

        Returns:
            The outputs (batch, time, filters, height, width), the last of them, and both final states.
        """
        x = x.flip(1) if self.backwards else x
        # A scan carries states of one memory format; what comes from channels-last images has another.
        gates = self.convolution(x.flatten(0, 1).contiguous())
        steps = gates.unflatten(0, (x.shape[0], x.shape[1])).transpose(0, 1)
        h = torch.zeros_like(steps[0].chunk(4, 1)[0], memory_format=torch.contiguous_format)
        names = (self.activation, self.recurrent_activation)
        if torch.compiler.is_exporting():
            h, c, outputs = self._scan(steps, h)
        else:
            run = scripted(loop) if torch.jit.is_tracing() else loop
            h, c, outputs = run(*names, steps, h, h, self.recurrent, self.pads)
        return outputs.transpose(0, 1), h, h, c

    def _scan(self, steps: Tensor, zeros: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        from torch._higher_order_ops.scan import scan

        def one(carry: tuple[Tensor, Tensor], gates: Tensor) -> Any:
            names = (self.activation, self.recurrent_activation)
            h, c = step(*names, gates, carry[0], carry[1], self.recurrent, self.pads)
            return (h, c), h.clone()

        (h, c), outputs = scan(one, (zeros, zeros.clone()), steps)
        return h, c, outputs


def step(
    activation: str,
    recurrent_activation: str,
    x: Tensor,
    h: Tensor,
    c: Tensor,
    weight: Tensor,
    pads: list[int],
) -> tuple[Tensor, Tensor]:
    """Return the states after one step; `x` holds the gates of its image."""
    gates = x + torch.conv2d(torch.nn.functional.pad(h, pads), weight)
    i, f, g, o = gates.chunk(4, 1)
    i, f = activate(recurrent_activation, i), activate(recurrent_activation, f)
    c = f * c + i * activate(activation, g)
    return activate(recurrent_activation, o) * activate(activation, c), c


def loop(
    activation: str,
    recurrent_activation: str,
    steps: Tensor,
    h: Tensor,
    c: Tensor,
    weight: Tensor,
    pads: list[int],
) -> tuple[Tensor, Tensor, Tensor]:
    """Run over the gates of all images: (time, batch, 4 * filters, height, width)."""
    outputs = []
    for time in range(steps.size(0)):
        h, c = step(activation, recurrent_activation, steps[time], h, c, weight, pads)
        outputs.append(h)
    return h, c, torch.stack(outputs)
