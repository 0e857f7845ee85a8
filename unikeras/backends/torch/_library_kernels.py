"""One layer of oneDNN's LSTM (CPU) and of cuDNN's LSTM and GRU (CUDA), forward and backward, over Keras' weights.

These are the kernels and the arguments of `torch.nn.LSTM` and `GRU`, in two calls, so that the caller decides when the
backward pass runs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

LSTM, GRU = 2, 3  # the mode, as both libraries number it
_aten = torch.ops.aten


def is_of_onednn(x: Tensor) -> bool:
    """Say whether oneDNN's LSTM takes the sequence."""
    if (
        x.device.type != "cpu"
        or not torch.backends.mkldnn.is_available()
        or not torch.backends.mkldnn.enabled
    ):
        return False
    if x.dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) and x.numel() > 0
    return x.dtype == torch.float32 and x.numel() > 0


def is_of_cudnn(x: Tensor) -> bool:
    """Say whether cuDNN takes the sequence."""
    return x.is_cuda and torch.version.hip is None and torch.backends.cudnn.is_acceptable(x) and x.numel() > 0


def onednn_lstm(
    x: Tensor, h: Tensor, c: Tensor, weights: list[Tensor], keep: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the outputs, the last two states, and the workspace of the backward pass; without `keep`, an empty one."""
    with torch.set_grad_enabled(keep):  # by this, not by the last argument, it keeps a workspace (torch 2.13)
        outputs, h, c, workspace = _aten.mkldnn_rnn_layer(
            _by_time(x),
            *weights,
            h.contiguous(),
            c.contiguous(),
            *(False, [], LSTM, h.shape[1], 1, True, False, False, keep),
        )
    workspace = x.new_empty(0, dtype=torch.uint8) if workspace is None else workspace
    return outputs.transpose(0, 1), h, c, workspace


def onednn_lstm_backward(
    gradients: Sequence[Tensor | None],
    x: Tensor,
    h: Tensor,
    c: Tensor,
    weights: list[Tensor],
    outputs: Tensor,
    last: tuple[Tensor, Tensor],
    workspace: Tensor,
) -> tuple[Tensor, ...]:
    """Return the gradients of x, h, c, both kernels and the first bias; the other bias has the same."""
    of_outputs, of_h, of_c = gradients
    dx, d0, d1, d2, _, dh, dc = _aten.mkldnn_rnn_layer_backward(
        _by_time(x),
        *weights,
        h.contiguous(),
        c.contiguous(),
        outputs.transpose(0, 1),
        *last,
        None if of_outputs is None else of_outputs.transpose(0, 1),
        of_h,
        of_c,
        *(False, LSTM, h.shape[1], 1, True, True, False, [], False, workspace),
    )
    dx, *others = (value.to(x.dtype) for value in (dx, dh, dc, d0, d1, d2))
    return dx.transpose(0, 1), *others


def cudnn(
    mode: int, x: Tensor, states: tuple[Tensor, ...], weights: list[Tensor], keep: bool
) -> tuple[Tensor, list[Tensor], Tensor]:
    """Return the outputs, the last states, and the reserve of the backward pass; without `keep`, an empty one."""
    outputs, h, c, reserve, _ = _aten._cudnn_rnn(
        _by_time(x),
        *_flattened(mode, x, states[0], weights),
        *_one_layer(states),
        *(mode, states[0].shape[1], 0, 1, False, 0.0, keep, False, [], None),
    )
    return outputs.transpose(0, 1), [last.squeeze(0) for last in (h, c)[: len(states)]], reserve


def cudnn_backward(
    mode: int,
    gradients: Sequence[Tensor | None],
    x: Tensor,
    states: tuple[Tensor, ...],
    weights: list[Tensor],
    outputs: Tensor,
    reserve: Tensor,
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Return the gradients of x, of the states and of the weights."""
    of_outputs, *of_states = gradients
    dx, dh, dc, found = _aten._cudnn_rnn_backward(
        _by_time(x),
        *_flattened(mode, x, states[0], weights),
        *_one_layer(states),
        _by_time(outputs),
        None if of_outputs is None else _by_time(of_outputs),
        *_one_layer(of_states),
        *(mode, states[0].shape[1], 0, 1, False, 0.0, True, False, [], None, reserve),
        [True, True, len(states) == 2, True],
    )
    return dx.transpose(0, 1), [of.squeeze(0) for of in (dh, dc)[: len(states)]], found


def lstm_weights(kernel: Tensor, recurrent: Tensor, bias: Tensor | None) -> list[Tensor]:
    """Return an LSTM's weights as the kernels take them: with a second bias."""
    zeros = kernel.new_zeros(kernel.shape[0])
    return [kernel.contiguous(), recurrent.contiguous(), zeros if bias is None else bias, zeros]


def gru_weights(kernel: Tensor, recurrent: Tensor, bias: Tensor | None) -> list[Tensor]:
    """Return a GRU's weights in Keras' layout as cuDNN takes them: transposed, with the gates r, z, n."""
    bias = kernel.new_zeros(2, kernel.shape[1]) if bias is None else bias
    kernel, recurrent, bias = (_exchanged(value) for value in (kernel, recurrent, bias))
    return [kernel.T.contiguous(), recurrent.T.contiguous(), *bias]


def gru_gradients(found: Sequence[Tensor]) -> list[Tensor]:
    """Return the gradients of a GRU's weights in Keras' layout."""
    kernel, recurrent, *biases = found
    return [_exchanged(value) for value in (kernel.T, recurrent.T, torch.stack(biases))]


def _exchanged(value: Tensor) -> Tensor:
    first, second, third = value.chunk(3, -1)
    return torch.cat([second, first, third], -1)


def _by_time(x: Tensor) -> Tensor:
    return x.transpose(0, 1).contiguous()


def _one_layer(states: Sequence[Tensor | None]) -> list[Tensor | None]:
    """Return what may be there of h and c, as of the first of several layers."""
    both = [*states, None][:2]
    return [None if state is None else state.unsqueeze(0).contiguous() for state in both]


def _flattened(mode: int, x: Tensor, h: Tensor, weights: list[Tensor]) -> tuple[list[Tensor], int, Tensor]:
    """Return the weights in one piece of memory, as cuDNN wants them, their number, and that memory."""
    own = [weight.clone() for weight in weights]  # these are moved
    buffer = torch._cudnn_rnn_flatten_weight(own, len(own), x.shape[2], mode, h.shape[1], 0, 1, False, False)
    return own, len(own), buffer
