"""Recurrences with what Keras asks of them beyond `torch.nn.LSTM`: any mask, running backwards, open time."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from unikeras.lowering.modules.step_loops import loop, step

# A gate this far out is exactly closed, or open, in every floating type.
CLOSED, OPEN = -1e4, 1e4


class Recurrence(nn.Module):
    """A recurrent layer over `kernel`, whose weights have torch's names and order.

    A masked step leaves the state as it is and repeats the output before it.

    Args:
        kernel: `nn.LSTM`, `nn.GRU` or `nn.RNN` of one layer, batch first.
        backwards: run from the last step to the first; outputs come in the order in which they are made.
        zero_masked: give zeros at masked steps instead.
        begins_with_state: before the first unmasked step, the output is the initial state, not zeros.
    """

    def __init__(
        self,
        kernel: nn.RNNBase,
        backwards: bool = False,
        zero_masked: bool = False,
        begins_with_state: bool = False,
    ) -> None:
        super().__init__()
        self.kernel = kernel
        self.backwards = backwards
        self.zero_masked = zero_masked
        self.begins_with_state = begins_with_state

    def forward(
        self, x: Tensor, mask: Tensor | None = None, state: tuple[Tensor, ...] | None = None
    ) -> tuple[Any, ...]:
        """Run over a sequence.

        Args:
            x: (batch, time, features).
            mask: (batch, time) of booleans, False where a step is masked; any pattern.
            state: initial states of shape (batch, units), one for each that the layer has; None for zeros.

        Returns:
            The outputs (batch, time, units), the last of them (batch, units), and the final states.
        """
        _forget_dispatch()
        if not torch.compiler.is_exporting():  # an exported program compares the sizes of its inputs itself
            mask, state = self.broadcast(x, mask, state)
        if self.backwards:
            x = x.flip(1)
            mask = None if mask is None else mask.flip(1)
        if mask is None:
            outputs, states = self.run(x, state)
        else:
            outputs, states = self.run_masked(x, mask, state)
            if state is not None and not self.begins_with_state:
                outputs = torch.where(mask.long().cumsum(1).unsqueeze(-1) > 0, outputs, 0.0)
            if self.zero_masked:
                outputs = torch.where(mask.unsqueeze(-1), outputs, 0.0)
        return outputs, outputs[:, -1], *states

    def broadcast(
        self, x: Tensor, mask: Tensor | None, state: tuple[Tensor, ...] | None
    ) -> tuple[Tensor | None, tuple[Tensor, ...] | None]:
        """Return mask and states in the batch size of x; any size but that and 1 is torch's RuntimeError.

        A trace keeps this check. The kernels have none: with a state of another batch size they write outside
        their memory (torch 2.13).
        """
        if mask is not None:
            mask = mask.expand(x.shape[0], x.shape[1])
        if state is not None:
            state = tuple(part.expand(x.shape[0], self.kernel.hidden_size) for part in state)
        return mask, state

    def run(self, x: Tensor, state: tuple[Tensor, ...] | None) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run over all steps."""
        outputs, last = self.kernel(x, _for_kernel(self.kernel, state))
        return outputs, tuple(part.squeeze(0) for part in _parts(last))

    def run_masked(
        self, x: Tensor, mask: Tensor, state: tuple[Tensor, ...] | None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run over the unmasked steps.

        They are moved to the front, where the kernel meets them one after the other; each step then takes
        the output of the last one that counted. What the kernel makes of the steps behind them is not read,
        but an LSTM's cell has no outputs by step: there, an input of its own closes the gates.
        """
        first = state or self.zeros(x)
        seen = mask.long().cumsum(1)
        count = seen[:, -1:]
        place = torch.where(mask, seen - 1, count + (~mask).long().cumsum(1) - 1)
        packed = torch.zeros_like(x).scatter(1, place.unsqueeze(-1).expand_as(x), x)
        weights = [self.kernel.weight_ih_l0, self.kernel.weight_hh_l0]
        biases = [self.kernel.bias_ih_l0, self.kernel.bias_hh_l0] if self.kernel.bias else []
        if isinstance(self.kernel, nn.LSTM):
            step_number = torch.ones_like(seen).cumsum(1)
            behind = (step_number > count).to(x.dtype).unsqueeze(-1)
            packed = torch.cat([packed, behind], -1)
            weights[0] = torch.cat([weights[0], _hold(weights[0])], 1)
        arguments = (weights + biases, self.kernel.bias, 1, 0.0, False, False, True)
        outputs, *last = _kernel_function(self.kernel)(packed, _for_kernel(self.kernel, first), *arguments)
        outputs = torch.cat([first[0].unsqueeze(1), outputs], 1)
        outputs = outputs.gather(1, seen.unsqueeze(-1).expand(-1, -1, outputs.shape[-1]))
        return outputs, (outputs[:, -1], *(part.squeeze(0) for part in last[1:]))

    def zeros(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the states that a sequence begins with."""
        zeros = x.new_zeros(x.shape[0], self.kernel.hidden_size)
        return (zeros, zeros.clone()) if isinstance(self.kernel, nn.LSTM) else (zeros,)


class SteppedRecurrence(Recurrence):
    """The same recurrence, written step by step: for cells that torch has no kernel for, and as a scan.

    `torch.export` sees torch's scan operator, a trace sees a loop of TorchScript, so that both keep the
    number of steps open.

    Args:
        cell: `"lstm"`, `"gru"`, `"gru_reset_before"` or `"rnn"`.
        activation: the name of the activation.
        recurrent_activation: the name of the gates' activation.
        options: those of `Recurrence`.
    """

    def __init__(
        self, kernel: nn.RNNBase, cell: str, activation: str, recurrent_activation: str, **options: bool
    ) -> None:
        super().__init__(kernel, **options)
        self.cell = cell
        self.activation = activation
        self.recurrent_activation = recurrent_activation

    def run(self, x: Tensor, state: tuple[Tensor, ...] | None) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run over all steps."""
        return self.run_masked(x, torch.ones_like(x[..., 0], dtype=torch.bool), state)

    def run_masked(
        self, x: Tensor, mask: Tensor, state: tuple[Tensor, ...] | None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run over all steps, keeping the state where a step is masked."""
        kernel = self.kernel
        projected = nn.functional.linear(x, kernel.weight_ih_l0, kernel.bias_ih_l0 if kernel.bias else None)
        bias = kernel.bias_hh_l0 if kernel.bias else projected.new_zeros(kernel.weight_hh_l0.shape[0])
        first = state or self.zeros(x)
        h, c = first[0], first[-1]
        steps, keep = projected.transpose(0, 1), mask.transpose(0, 1).unsqueeze(-1)
        if torch.compiler.is_exporting():
            h, c, outputs = self._scan(steps, keep, h, c, bias)
        else:
            run = scripted(loop) if torch.jit.is_tracing() else loop
            names = (self.cell, self.activation, self.recurrent_activation)
            h, c, outputs = run(*names, steps, keep, h, c, kernel.weight_hh_l0, bias)
        outputs = outputs.transpose(0, 1)
        return outputs, (h, c) if len(first) == 2 else (h,)

    def _scan(
        self, steps: Tensor, keep: Tensor, h: Tensor, c: Tensor, bias: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        from torch._higher_order_ops.scan import scan

        def one(carry: tuple[Tensor, Tensor], xs: tuple[Tensor, Tensor]) -> Any:
            h, c = step(
                self.cell,
                self.activation,
                self.recurrent_activation,
                xs[0],
                carry[0],
                carry[1],
                self.kernel.weight_hh_l0,
                bias,
            )
            h, c = torch.where(xs[1], h, carry[0]), torch.where(xs[1], c, carry[1])
            return (h, c), h.clone()

        (h, c), outputs = scan(one, (h.clone(), c.clone()), (steps, keep))
        return h, c, outputs


def _kernel_function(kernel: nn.RNNBase) -> Any:
    """Return the function under a kernel's `forward`, which takes the weights as arguments."""
    return {"LSTM": torch._VF.lstm, "GRU": torch._VF.gru}.get(
        kernel.mode, torch._VF.rnn_relu if kernel.mode == "RNN_RELU" else torch._VF.rnn_tanh
    )


def _forget_dispatch() -> None:
    """Let torch look up its kernels anew while it exports.

    torch.onnx exchanges them for ones that keep time open, but finds the old ones in a cache from the second
    export of a process on (torch 2.13, torch/export/_patches.py).
    """
    if torch.compiler.is_exporting() and not torch.compiler.is_dynamo_compiling():
        for operator in (torch.ops.aten.lstm.input, torch.ops.aten.gru.input):
            getattr(operator, "_dispatch_cache", {}).clear()


def _for_kernel(kernel: nn.RNNBase, state: tuple[Tensor, ...] | None) -> Any:
    if state is None:
        return None
    states = tuple(part.unsqueeze(0) for part in state)
    return states if isinstance(kernel, nn.LSTM) else states[0]


def _parts(state: Any) -> tuple[Tensor, ...]:
    return state if isinstance(state, tuple) else (state,)


def _hold(weight: Tensor) -> Tensor:
    """Return the weights of an input that, where it is 1, keeps an LSTM's cell: i closed, f open."""
    gates = weight.new_tensor([CLOSED, OPEN, 0.0, 0.0])
    return gates.repeat_interleave(weight.shape[0] // 4).unsqueeze(1)


def scripted(function: Any) -> Any:
    """Return a function as TorchScript."""
    with warnings.catch_warnings():
        # Scripting is the only way in which a trace keeps a loop.
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.script(function)
