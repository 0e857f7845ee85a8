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
    options = (False, [], LSTM, h.shape[1], 1, True, False, False, keep)
    with torch.set_grad_enabled(keep):  # by this, not by the last argument, it keeps a workspace (torch 2.13)
        outputs, h, c, workspace = _aten.mkldnn_rnn_layer(
            _by_time(x), *weights, h.contiguous(), c.contiguous(), *options
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
) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
    """Return the gradients of x, h, c and the weights."""
    of_outputs, of_h, of_c = gradients
    dx, d0, d1, d2, d3, dh, dc = _aten.mkldnn_rnn_layer_backward(
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
    dx, dh, dc, *found = (value.to(x.dtype) for value in (dx, dh, dc, d0, d1, d2, d3))
    return dx.transpose(0, 1), dh, dc, found


def cudnn(
    mode: int, x: Tensor, h: Tensor, c: Tensor | None, weights: list[Tensor], keep: bool
) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
    """Return the outputs, the last states, and the reserve of the backward pass; without `keep`, an empty one."""
    outputs, h, c, reserve, _ = _aten._cudnn_rnn(
        _by_time(x),
        weights,
        4,
        _flattened(mode, x, h, weights),
        *_one_layer(h, c),
        *(mode, h.shape[1], 0, 1, False, 0.0, keep, False, [], None),
    )
    return outputs.transpose(0, 1), h.squeeze(0), None if c is None else c.squeeze(0), reserve


def cudnn_backward(
    mode: int,
    gradients: Sequence[Tensor | None],
    x: Tensor,
    h: Tensor,
    c: Tensor | None,
    weights: list[Tensor],
    outputs: Tensor,
    reserve: Tensor,
) -> tuple[Tensor, Tensor, Tensor | None, list[Tensor]]:
    """Return the gradients of x, h, c and the weights."""
    of_outputs, of_h, of_c = gradients
    dx, dh, dc, found = _aten._cudnn_rnn_backward(
        _by_time(x),
        weights,
        4,
        _flattened(mode, x, h, weights),
        *_one_layer(h, c),
        outputs.transpose(0, 1).contiguous(),
        None if of_outputs is None else of_outputs.transpose(0, 1).contiguous(),
        *_one_layer(of_h, of_c),
        *(mode, h.shape[1], 0, 1, False, 0.0, True, False, [], None, reserve),
        [True, True, c is not None, True],
    )
    return dx.transpose(0, 1), dh.squeeze(0), None if c is None else dc.squeeze(0), found


def weights_for_torch(mode: int, kernel: Tensor, recurrent: Tensor, bias: Tensor | None) -> list[Tensor]:
    """Return copies of Keras' weights as torch has them: transposed, two biases, a GRU's gates as r, z, n."""
    zeros = kernel.new_zeros(kernel.shape[1])
    biases = [zeros, zeros]
    if bias is not None:
        biases = [bias.clone(), zeros] if mode == LSTM else [part.clone() for part in bias]
    if mode == GRU:
        kernel, recurrent, *biases = (_exchanged(value) for value in (kernel, recurrent, *biases))
    return [kernel.T.contiguous(), recurrent.T.contiguous(), *biases]


def gradients_for_keras(mode: int, found: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of kernel, recurrent kernel and bias from those of torch's weights."""
    kernel, recurrent, *biases = found
    if mode == LSTM:
        return kernel.T.contiguous(), recurrent.T.contiguous(), biases[0]
    return _exchanged(kernel.T), _exchanged(recurrent.T), _exchanged(torch.stack(biases))


def _exchanged(value: Tensor) -> Tensor:
    first, second, third = value.chunk(3, -1)
    return torch.cat([second, first, third], -1)


def _by_time(x: Tensor) -> Tensor:
    return x.transpose(0, 1).contiguous()


def _one_layer(*states: Tensor | None) -> list[Tensor | None]:
    return [None if state is None else state.unsqueeze(0).contiguous() for state in states]


def _flattened(mode: int, x: Tensor, h: Tensor, weights: list[Tensor]) -> Tensor:
    """Move the weights into one piece of memory, as cuDNN wants them, and return it."""
    buffer: Tensor = torch._cudnn_rnn_flatten_weight(
        weights, 4, x.shape[2], mode, h.shape[1], 0, 1, False, False
    )
    return buffer
