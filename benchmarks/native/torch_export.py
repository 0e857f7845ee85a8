"""The CNN and the LSTM of the benchmarks as torch modules that a person would write, exported to ONNX."""

from __future__ import annotations

import torch
from torch import nn


def by_hand(name, weights, path) -> bool:
    """Write a model with these Keras weights; return whether it takes its channels first."""
    module, example = {"cnn": _cnn, "lstm": _lstm}[name]([torch.tensor(value) for value in weights])
    batch = ({0: torch.export.Dim("batch")},)
    torch.onnx.export(
        module.eval(),
        (example,),
        str(path),
        dynamic_shapes=batch,
        dynamo=True,
        verbose=False,
        external_data=False,
    )
    return name == "cnn"


class ChannelsLastFlatten(nn.Module):
    def forward(self, x):
        return x.permute(0, 2, 3, 1).flatten(1)


def _cnn(weights):
    convolutions = [nn.Conv2d(3, 32, 3), nn.Conv2d(32, 64, 3), nn.Conv2d(64, 64, 3)]
    dense = [nn.Linear(1024, 64), nn.Linear(64, 10)]
    kernels, biases = weights[::2], weights[1::2]
    for layer, kernel, bias in zip([*convolutions, *dense], kernels, biases, strict=True):
        layer.weight.data = (
            kernel.permute(3, 2, 0, 1).contiguous() if kernel.ndim == 4 else kernel.T.contiguous()
        )
        layer.bias.data = bias
    one, two, three = convolutions
    pooled = [one, nn.ReLU(), nn.MaxPool2d(2), two, nn.ReLU(), nn.MaxPool2d(2), three, nn.ReLU()]
    stack = [*pooled, ChannelsLastFlatten(), dense[0], nn.ReLU(), dense[1]]
    return nn.Sequential(*stack), torch.zeros(2, 3, 32, 32)


class Lstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(28, 128, num_layers=2, batch_first=True)
        self.dense = nn.Linear(128, 10)

    def forward(self, x):
        return self.dense(self.rnn(x)[0][:, -1])


def _lstm(weights):
    module = Lstm()
    for layer in range(2):
        kernel, recurrent, bias = weights[3 * layer : 3 * layer + 3]
        getattr(module.rnn, f"weight_ih_l{layer}").data = kernel.T.contiguous()
        getattr(module.rnn, f"weight_hh_l{layer}").data = recurrent.T.contiguous()
        getattr(module.rnn, f"bias_ih_l{layer}").data = bias
        getattr(module.rnn, f"bias_hh_l{layer}").data = torch.zeros_like(bias)
    module.dense.weight.data, module.dense.bias.data = weights[6].T.contiguous(), weights[7]
    return module, torch.zeros(2, 28, 28)
