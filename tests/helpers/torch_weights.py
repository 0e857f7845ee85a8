"""Pairs of a torch module and the Keras model that stands for it: weights go from one to the other and back."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Pair:
    """A torch module and a Keras model.

    Attributes:
        module: takes `torch.nn`.
        layers: takes `keras.layers` and returns layers, or takes an input and returns an output.
        shape: that of the input, without the batch, as Keras has it.
        channels_last: whether torch has the channels of the input first.
        call: runs the module, where that is more than `module(x)`.
        vocabulary: how many indices the input is made of; 0 for real numbers.
        one_bias: whether two biases come back as one.
        functional: whether `layers` takes an input.
    """

    module: Callable[[Any], Any]
    layers: Callable[..., Any]
    shape: tuple[int, ...]
    channels_last: bool = False
    call: Callable[[Any, Any], Any] = lambda module, x: module(x)
    vocabulary: int = 0
    one_bias: bool = False
    functional: bool = False


def _first(module, x):
    return module(x)[0]


def _attend(module, x):
    return module(x, x, x)[0]


def _attention(x, layers):
    return layers.MultiHeadAttention(2, 4)(x, x)


def _residual(x, layers):
    """A block whose shortcut Keras runs between the other layers, and torch declares last."""
    y = layers.BatchNormalization(epsilon=1e-5)(layers.Conv2D(6, 1, use_bias=False)(x))
    h = layers.BatchNormalization(epsilon=1e-5)(layers.Conv2D(6, 3, padding="same", use_bias=False)(x))
    h = layers.BatchNormalization(epsilon=1e-5)(
        layers.Conv2D(6, 3, padding="same", use_bias=False)(layers.ReLU()(h))
    )
    return layers.ReLU()(layers.Add()([h, y]))


def _residual_module(nn):
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)
            self.conv2, self.bn2 = nn.Conv2d(6, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)
            self.downsample = nn.Sequential(nn.Conv2d(3, 6, 1, bias=False), nn.BatchNorm2d(6))

        def forward(self, x):
            h = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
            return (h + self.downsample(x)).relu()

    return Block()


def _encoder(x, layers):
    h = layers.LayerNormalization(epsilon=1e-5)(layers.Add()([x, layers.MultiHeadAttention(2, 4)(x, x)]))
    y = layers.Dense(8)(layers.Dense(8, activation="relu")(h))
    return layers.LayerNormalization(epsilon=1e-5)(layers.Add()([h, y]))


def _branches(x, layers):
    one, other = layers.Conv2D(2, 3)(x), layers.Conv2D(3, 2)(x)
    h = layers.Concatenate()([layers.Flatten()(one), layers.Dropout(0.5)(layers.Flatten()(other))])
    return layers.Dense(4)(layers.PReLU()(h))


def _branches_module(nn):
    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.other = nn.Conv2d(3, 2, 3), nn.Conv2d(3, 3, 2)
            self.slope, self.last = nn.PReLU(2 * 3 * 2 + 3 * 4 * 3), nn.Linear(2 * 3 * 2 + 3 * 4 * 3, 4)

        def forward(self, x):
            return self.last(self.slope(flat_together([self.one(x), self.other(x)])))

    return Branches()


def flat_together(parts):
    import torch

    return torch.cat([part.flatten(1) for part in parts], 1)


PAIRS = {
    "linear": Pair(lambda nn: nn.Linear(3, 4), lambda layers: [layers.Dense(4)], (3,)),
    "linear without bias": Pair(
        lambda nn: nn.Linear(3, 4, bias=False), lambda layers: [layers.Dense(4, use_bias=False)], (3,)
    ),
    "einsum": Pair(
        lambda nn: nn.Linear(4, 6),
        lambda layers: [
            layers.EinsumDense("abc,cde->abde", (None, 2, 3), bias_axes="de"),
            layers.Reshape((5, 6)),
        ],
        (5, 4),
    ),
    "conv 1d": Pair(lambda nn: nn.Conv1d(3, 4, 3), lambda layers: [layers.Conv1D(4, 3)], (7, 3), True),
    "conv 2d": Pair(
        lambda nn: nn.Conv2d(3, 4, (3, 2)), lambda layers: [layers.Conv2D(4, (3, 2))], (7, 6, 3), True
    ),
    "conv 3d": Pair(lambda nn: nn.Conv3d(2, 3, 2), lambda layers: [layers.Conv3D(3, 2)], (4, 5, 3, 2), True),
    "grouped": Pair(
        lambda nn: nn.Conv2d(4, 6, 3, groups=2),
        lambda layers: [layers.Conv2D(6, 3, groups=2)],
        (5, 6, 4),
        True,
    ),
    "depthwise": Pair(
        lambda nn: nn.Conv2d(3, 6, (2, 3), groups=3),
        lambda layers: [layers.DepthwiseConv2D((2, 3), depth_multiplier=2)],
        (5, 6, 3),
        True,
    ),
    "separable": Pair(
        lambda nn: nn.Sequential(nn.Conv1d(3, 3, 3, groups=3, bias=False), nn.Conv1d(3, 5, 1)),
        lambda layers: [layers.SeparableConv1D(5, 3)],
        (7, 3),
        True,
    ),
    "transposed 1d": Pair(
        lambda nn: nn.ConvTranspose1d(3, 4, 3), lambda layers: [layers.Conv1DTranspose(4, 3)], (5, 3), True
    ),
    "transposed 2d": Pair(
        lambda nn: nn.ConvTranspose2d(3, 4, (2, 3), stride=2),
        lambda layers: [layers.Conv2DTranspose(4, (2, 3), strides=2)],
        (4, 5, 3),
        True,
    ),
    "batch norm": Pair(
        lambda nn: nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)),
        lambda layers: [layers.Conv2D(4, 1), layers.BatchNormalization(epsilon=1e-5, momentum=0.9)],
        (3, 4, 3),
        True,
    ),
    "layer norm": Pair(
        lambda nn: nn.LayerNorm(5), lambda layers: [layers.LayerNormalization(epsilon=1e-5)], (3, 5)
    ),
    "layer norm of images": Pair(
        lambda nn: nn.LayerNorm((4, 2, 3)),
        lambda layers: [layers.LayerNormalization(axis=[1, 2, 3], epsilon=1e-5)],
        (2, 3, 4),
        True,
    ),
    "rms norm": Pair(
        lambda nn: nn.RMSNorm(5, eps=1e-6), lambda layers: [layers.RMSNormalization(epsilon=1e-6)], (3, 5)
    ),
    "group norm": Pair(
        lambda nn: nn.GroupNorm(2, 4),
        lambda layers: [layers.GroupNormalization(2, epsilon=1e-5)],
        (3, 5, 4),
        True,
    ),
    "embedding": Pair(
        lambda nn: nn.Embedding(7, 4), lambda layers: [layers.Embedding(7, 4)], (3,), vocabulary=7
    ),
    "prelu": Pair(
        lambda nn: nn.PReLU(4),
        lambda layers: [layers.PReLU(shared_axes=[1, 2])],
        (3, 5, 4),
        channels_last=True,
    ),
    "prelu of one slope": Pair(lambda nn: nn.PReLU(), lambda layers: [layers.PReLU()], (3,)),
    "lstm": Pair(
        lambda nn: nn.LSTM(3, 4, batch_first=True),
        lambda layers: [layers.LSTM(4, return_sequences=True)],
        (5, 3),
        call=_first,
        one_bias=True,
    ),
    "stacked bidirectional lstm": Pair(
        lambda nn: nn.LSTM(3, 4, 2, batch_first=True, bidirectional=True),
        lambda layers: [layers.Bidirectional(layers.LSTM(4, return_sequences=True)) for _ in range(2)],
        (5, 3),
        call=_first,
        one_bias=True,
    ),
    "gru": Pair(
        lambda nn: nn.GRU(3, 4, 2, batch_first=True),
        lambda layers: [layers.GRU(4, return_sequences=True) for _ in range(2)],
        (5, 3),
        call=_first,
    ),
    "stacked cells": Pair(
        lambda nn: nn.GRU(3, 4, 2, batch_first=True),
        lambda layers: [layers.RNN([layers.GRUCell(4), layers.GRUCell(4)], return_sequences=True)],
        (5, 3),
        call=_first,
    ),
    "rnn": Pair(
        lambda nn: nn.RNN(3, 4, batch_first=True, bidirectional=True),
        lambda layers: [layers.Bidirectional(layers.SimpleRNN(4, return_sequences=True))],
        (5, 3),
        call=_first,
        one_bias=True,
    ),
    "attention": Pair(
        lambda nn: nn.MultiheadAttention(8, 2, batch_first=True),
        _attention,
        (5, 8),
        call=_attend,
        functional=True,
    ),
    "transformer": Pair(
        lambda nn: nn.TransformerEncoderLayer(8, 2, 8, batch_first=True), _encoder, (5, 8), functional=True
    ),
    "flatten": Pair(
        lambda nn: nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.BatchNorm1d(24), nn.Linear(24, 5)
        ),
        lambda layers: [
            layers.Conv2D(4, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.BatchNormalization(epsilon=1e-5),
            layers.Dropout(0.5),
            layers.Dense(5),
        ],
        (8, 6, 3),
        True,
    ),
    "flatten of the input": Pair(
        lambda nn: nn.Sequential(nn.Flatten(), nn.Linear(24, 5)),
        lambda layers: [layers.Reshape((24,)), layers.Dense(5)],
        (4, 2, 3),
        True,
    ),
    "flatten in time": Pair(
        lambda nn: nn.Sequential(nn.Conv1d(3, 4, 3), nn.Flatten(), nn.Linear(20, 5)),
        lambda layers: [layers.Conv1D(4, 3), layers.Flatten(), layers.Dense(5)],
        (7, 3),
        True,
    ),
    "flatten of channels first": Pair(
        lambda nn: nn.Sequential(nn.Conv1d(3, 4, 3), nn.Flatten(), nn.Linear(20, 5)),
        lambda layers: [layers.Conv1D(4, 3), layers.Permute((2, 1)), layers.Flatten(), layers.Dense(5)],
        (7, 3),
        True,
    ),
    "flattened branches": Pair(_branches_module, _branches, (5, 4, 3), True, functional=True),
    "unflatten": Pair(
        lambda nn: nn.Sequential(
            nn.Linear(3, 24), nn.BatchNorm1d(24), nn.Unflatten(1, (4, 3, 2)), nn.Conv2d(4, 2, 2)
        ),
        lambda layers: [
            layers.Dense(24),
            layers.BatchNormalization(epsilon=1e-5),
            layers.Reshape((3, 2, 4)),
            layers.Conv2D(2, 2),
        ],
        (3,),
    ),
    "residual": Pair(_residual_module, _residual, (5, 4, 3), True, functional=True),
    "in time": Pair(
        lambda nn: nn.Linear(3, 4), lambda layers: [layers.TimeDistributed(layers.Dense(4))], (5, 3)
    ),
}


def keras_model(name):
    """Return the Keras model of a pair."""
    import keras

    pair = PAIRS[name]
    inputs = keras.Input(pair.shape, dtype="int32" if pair.vocabulary else "float32")
    if pair.functional:
        return keras.Model(inputs, pair.layers(inputs, keras.layers))
    return keras.Sequential([inputs, *pair.layers(keras.layers)])


def torch_module(name, seed=0):
    """Return the torch module of a pair, with random weights and running statistics."""
    import torch

    torch.manual_seed(seed)
    module = PAIRS[name].module(torch.nn).eval()
    for key, value in module.state_dict().items():
        if value.is_floating_point():
            value.copy_(
                torch.rand_like(value) + 0.5 if key.endswith("var") else torch.randn_like(value) * 0.5
            )
    return module


def exchange(name):
    """Load the module's weights into the model, and take them out again.

    Returns:
        The largest difference of the outputs, and the names of the tensors that came back changed.
    """
    import keras
    import torch

    import unikeras as uk

    pair, model, module = PAIRS[name], keras_model(name), torch_module(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Keras' own
        warnings.simplefilter("error", UserWarning)
        report = uk.interop.load_state_dict(model, module.state_dict())
    assert report.complete, str(report)
    rng = np.random.default_rng(0)
    shape = (2, *pair.shape)
    x = (
        rng.integers(0, pair.vocabulary, shape)
        if pair.vocabulary
        else rng.normal(size=shape).astype("float32")
    )
    given = torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1) if pair.channels_last else x))
    with torch.no_grad():
        expected = pair.call(module, given).numpy()
    output = keras.ops.convert_to_numpy(model(x, training=False))
    if expected.shape != output.shape or (pair.channels_last and expected.ndim > 2):
        expected = np.moveaxis(expected, 1, -1)
    before, after = module.state_dict(), uk.interop.state_dict(model, like=module)
    if pair.one_bias:
        for key in [key for key in before if "bias_ih" in key]:
            before[key], before[key.replace("_ih", "_hh")] = (
                before[key] + before[key.replace("_ih", "_hh")],
                torch.zeros_like(before[key]),
            )
    changed = [key for key in before if not torch.equal(before[key], after[key])]
    return float(np.abs(output - expected).max()), changed
