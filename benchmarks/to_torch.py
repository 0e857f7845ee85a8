"""What `uk.interop.to_torch` returns, against the same module written by a torch user, in turn in one process.

python benchmarks/to_torch.py [mlp cnn lstm transformer] --rounds 40 --threads 1

Each line is a ratio of medians, and in parentheses the median of the rounds' ratios: of a forward pass, and of a
train step with SGD.
"""

from __future__ import annotations

import argparse
import os
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import torch
import torch.nn.functional as F  # noqa: N812
from keras import layers
from timing import clocked, ratio, seconds, turns
from torch import nn

import unikeras as uk


class Perceptron(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.out = nn.Linear(256, 512), nn.Linear(512, 512), nn.Linear(512, 10)

    def forward(self, x):
        return self.out(F.relu(self.second(F.relu(self.first(x)))))


class Convolutions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32, 1e-3, 0.01)
        self.conv2, self.bn2 = nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64, 1e-3, 0.01)
        self.pool, self.fc = nn.MaxPool2d(2), nn.Linear(4096, 10)

    def forward(self, x):
        x = self.pool(F.relu(self.bn1(self.conv1(x))))
        x = self.pool(F.relu(self.bn2(self.conv2(x))))
        return self.fc(x.flatten(1))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.fc = nn.LSTM(32, 64, batch_first=True), nn.Linear(64, 10)

    def forward(self, x):
        return self.fc(self.lstm(x)[0][:, -1])


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(128, 384), nn.Linear(128, 128)
        self.norm1, self.norm2 = nn.LayerNorm(128, 1e-3), nn.LayerNorm(128, 1e-3)
        self.up, self.down = nn.Linear(128, 512), nn.Linear(512, 128)

    def forward(self, x):
        q, k, v = self.qkv(x).unflatten(-1, (3, 4, 32)).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = self.norm1(x + self.proj(y))
        return self.norm2(x + self.down(F.gelu(self.up(x))))


def _convolutions() -> Any:
    x = image = keras.Input((32, 32, 3))
    for filters in (32, 64):
        x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(filters, 3, padding="same")(x)))
        x = layers.MaxPooling2D()(x)
    return keras.Model(image, layers.Dense(10)(layers.Flatten()(x)))


def _block() -> Any:
    x = tokens = keras.Input((64, 128))
    x = layers.LayerNormalization()(x + layers.MultiHeadAttention(4, 32)(x, x))
    y = layers.Dense(128)(layers.Dense(512, activation="gelu")(x))
    return keras.Model(tokens, layers.LayerNormalization()(x + y))


def _perceptron() -> Any:
    hidden = [layers.Dense(512, activation="relu") for _ in range(2)]
    return keras.Sequential([keras.Input((256,)), *hidden, layers.Dense(10)])


def _recurrent() -> Any:
    return keras.Sequential([keras.Input((40, 32)), layers.LSTM(64), layers.Dense(10)])


MODELS = {
    "mlp": (_perceptron, Perceptron, (256, 256)),
    "cnn": (_convolutions, Convolutions, (32, 3, 32, 32)),
    "lstm": (_recurrent, Recurrent, (32, 40, 32)),
    "transformer": (_block, Block, (16, 64, 128)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=list(MODELS))
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for name in options.models:
        build, by_hand, shape = MODELS[name]
        ours = uk.interop.to_torch(build(), channels_first=True)
        modules = [ours, by_hand()]
        x = torch.randn(shape)
        clock = cpu_seconds if options.threads == 1 else seconds
        forward = turns([_forward(one.eval(), x) for one in modules], options.rounds, clock)
        train = turns([_train(one.train(), x) for one in modules], options.rounds, clock)
        print(f"{name:12} forward {ratio(*forward)}  train step {ratio(*train)}", flush=True)


def cpu_seconds(run: Any) -> float:
    """Time a function in seconds of this process, which hold on a busy machine."""
    return clocked(run)[1]


def _forward(module: nn.Module, x: torch.Tensor) -> Any:
    def run() -> None:
        with torch.no_grad():
            for _ in range(3):
                module(x)

    return run


def _train(module: nn.Module, x: torch.Tensor) -> Any:
    optimizer = torch.optim.SGD([one for one in module.parameters() if one.requires_grad], 1e-3)

    def run() -> None:
        optimizer.zero_grad()
        module(x).square().mean().backward()
        optimizer.step()

    return run


if __name__ == "__main__":
    main()
