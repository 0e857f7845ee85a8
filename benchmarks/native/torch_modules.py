"""The models of the benchmarks as torch modules that a person would write, of the same architecture and sizes."""

from __future__ import annotations

import torch
from torch import nn

CLASSES = 10


def module(name: str) -> nn.Module:
    """Return the module of a benchmark's model."""
    return {"mlp": mlp, "cnn": cnn, "lstm": Lstm, "resnet": resnet, "transformer": Transformer}[name]()


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, CLASSES)
    )


def cnn() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(64, 64, 3), nn.ReLU(), nn.Flatten()),
        *(nn.Linear(1024, 64), nn.ReLU(), nn.Linear(64, CLASSES)),
    )


class Lstm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.recurrent = nn.LSTM(28, 128, num_layers=2, batch_first=True)
        self.head = nn.Linear(128, CLASSES)

    def forward(self, x):
        return self.head(self.recurrent(x)[0][:, -1])


def normalized(inputs: int, filters: int, size: int, stride: int) -> nn.Module:
    convolution = nn.Conv2d(inputs, filters, size, stride, size // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(filters))


class Residual(nn.Module):
    def __init__(self, inputs: int, filters: int, stride: int) -> None:
        super().__init__()
        self.shortcut = normalized(inputs, filters, 1, stride) if stride > 1 else nn.Identity()
        self.first = normalized(inputs, filters, 3, stride)
        self.second = normalized(filters, filters, 3, 1)

    def forward(self, x):
        return torch.relu(self.shortcut(x) + self.second(torch.relu(self.first(x))))


def resnet() -> nn.Module:
    blocks: list[nn.Module] = []
    inputs = 64
    for stage, filters in enumerate((64, 128, 256, 512)):
        for block in range(2):
            blocks.append(Residual(inputs, filters, 2 if stage and not block else 1))
            inputs = filters
    stem = [normalized(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, CLASSES))


class Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.wide = nn.Sequential(nn.Linear(width, 4 * width), nn.ReLU(), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(0.1)
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])

    def forward(self, x):
        attended, _ = self.attention(x, x, x, need_weights=False)
        x = self.norms[0](x + self.dropout(attended))
        return self.norms[1](x + self.dropout(self.wide(x)))


class Transformer(nn.Module):
    def __init__(self, vocabulary: int = 1000, length: int = 128, width: int = 256, heads: int = 4) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.positions = nn.Parameter(0.02 * torch.randn(length, width))
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(4)))
        self.head = nn.Linear(width, CLASSES)

    def forward(self, x):
        return self.head(self.blocks(self.embedding(x) + self.positions).mean(1))
