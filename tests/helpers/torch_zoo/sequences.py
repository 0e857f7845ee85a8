"""Recurrent layers and attention of torch.nn."""

from __future__ import annotations

import torch
from torch import nn

from .zoo_model import BATCH, SEQUENCE, ZooModel, series

TIME_MAJOR = {0: "length", 1: "batch"}
# A file for LiteRT holds one at a time of axis 0, which is time here.
TIME_MAJOR_FORMATS = ("saved_model",)
STATES = {1: "batch"}


class Head(nn.Module):
    """A recurrent layer and a dense one; without `last`, its states are outputs as well."""

    def __init__(self, layer: nn.Module, features: int, last: bool = False):
        super().__init__()
        self.layer, self.head, self.last = layer, nn.Linear(features, 3), last

    def forward(self, x, states=None):
        y, states = self.layer(x) if states is None else self.layer(x, states)
        return self.head(y[:, -1]) if self.last else (self.head(y), states)


class TwoStates(nn.Module):
    """An LSTM with a projection that takes both of its states as inputs."""

    def __init__(self):
        super().__init__()
        self.layer = nn.LSTM(5, 8, 2, batch_first=True, proj_size=3)

    def forward(self, x, h, c):
        return self.layer(x, (h, c))


class Attention(nn.Module):
    """Attention to another sequence, under both masks."""

    def __init__(self):
        super().__init__()
        self.layer = nn.MultiheadAttention(8, 2, kdim=6, vdim=5, batch_first=True)

    def forward(self, query, key, value, padding, mask):
        return self.layer(query, key, value, key_padding_mask=padding, attn_mask=mask)


class SelfAttention(nn.Module):
    """Attention to itself without weights as a result, time first, with extra keys and a zero."""

    def __init__(self):
        super().__init__()
        self.layer = nn.MultiheadAttention(8, 4, add_bias_kv=True, add_zero_attn=True)

    def forward(self, x):
        return self.layer(x, x, x, need_weights=False)[0]


class Encoder(nn.Module):
    """An encoder of layers that normalize first or last, under a mask of padding and one of time."""

    def __init__(self, **settings):
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True, **settings)
        self.layers = nn.TransformerEncoder(layer, 2, nn.LayerNorm(8), enable_nested_tensor=False)

    def forward(self, x, padding):
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
        return self.layers(x, mask=mask, src_key_padding_mask=padding, is_causal=True)


class Seq2Seq(nn.Module):
    """A whole nn.Transformer."""

    def __init__(self):
        super().__init__()
        self.model = nn.Transformer(8, 2, 1, 2, 16, dropout=0.0, batch_first=True)

    def forward(self, source, target):
        mask = nn.Transformer.generate_square_subsequent_mask(target.shape[1])
        return self.model(source, target, tgt_mask=mask, tgt_is_causal=True)


class Decoder(nn.Module):
    """A decoder over memory of which a mask hides a part."""

    def __init__(self):
        super().__init__()
        layer = nn.TransformerDecoderLayer(8, 2, 16, dropout=0.0, batch_first=True, activation="gelu")
        self.layers = nn.TransformerDecoder(layer, 2)

    def forward(self, target, memory, hidden):
        return self.layers(target, memory, memory_key_padding_mask=hidden)


def _padding(batch: int, length: int) -> torch.Tensor:
    """True where a sequence has ended; the first row is whole."""
    return torch.arange(length)[None] >= length - torch.arange(batch)[:, None].clamp(max=2)


def _recurrent(layer, features: int, dynamic=(SEQUENCE,), inputs=None, **settings) -> ZooModel:
    last = settings.pop("last", False)
    if not last:
        # The states have the batch in axis 1, and a file for LiteRT holds one example at a time.
        settings["formats"] = ("saved_model",)
    return ZooModel(lambda: Head(layer(), features, last), inputs or series(5), dynamic, **settings)


MODELS = {
    "lstm": _recurrent(lambda: nn.LSTM(5, 8, batch_first=True), 8, last=True),
    "stacked bidirectional lstm": _recurrent(
        lambda: nn.LSTM(5, 8, 2, batch_first=True, bidirectional=True), 16
    ),
    "lstm with dropout": _recurrent(
        lambda: nn.LSTM(5, 8, 2, batch_first=True, dropout=0.5), 8, is_random=True
    ),
    "lstm with projection and states": ZooModel(
        TwoStates,
        lambda batch, length: (
            torch.randn(batch, length, 5),
            torch.randn(2, batch, 3),
            torch.randn(2, batch, 8),
        ),
        (SEQUENCE, STATES, STATES),
        formats=(),  # the export takes axis 0 of every input for the batch; that of the states is axis 1
    ),
    "gru": _recurrent(lambda: nn.GRU(5, 8, batch_first=True), 8),
    "time-major gru with states": _recurrent(
        lambda: nn.GRU(5, 8, 2, bidirectional=True, bias=False),
        16,
        (TIME_MAJOR, STATES),
        lambda batch, length: (torch.randn(length, batch, 5), torch.randn(4, batch, 8)),
    ),
    "rnn": _recurrent(lambda: nn.RNN(5, 8, 2, batch_first=True), 8),
    "relu rnn": _recurrent(lambda: nn.RNN(5, 8, nonlinearity="relu", batch_first=True), 8),
    "attention with masks": ZooModel(
        Attention,
        lambda batch, length: (
            torch.randn(batch, length, 8),
            torch.randn(batch, length + 2, 6),
            torch.randn(batch, length + 2, 5),
            _padding(batch, length + 2),
            torch.randn(length, length + 2),
        ),
        (
            SEQUENCE,
            {0: "batch", 1: "keys"},
            {0: "batch", 1: "keys"},
            {0: "batch", 1: "keys"},
            {0: "length", 1: "keys"},
        ),
        formats=(),  # the export takes axis 0 of every input for the batch, and one is a length here
    ),
    "self-attention": ZooModel(
        SelfAttention,
        lambda batch, length: (torch.randn(length, batch, 8),),
        (TIME_MAJOR,),
        formats=("saved_model",),  # a LiteRT file takes axis 0 for the batch, and it is time here
    ),
    "transformer encoder": ZooModel(
        Encoder,
        lambda batch, length: (torch.randn(batch, length, 8), _padding(batch, length)),
        (SEQUENCE, SEQUENCE),
    ),
    "transformer encoder that normalizes first": ZooModel(
        lambda: Encoder(norm_first=True, activation="gelu"),
        lambda batch, length: (torch.randn(batch, length, 8), _padding(batch, length)),
        (SEQUENCE, SEQUENCE),
    ),
    "transformer decoder": ZooModel(
        Decoder,
        lambda batch, length: (
            torch.randn(batch, length, 8),
            torch.randn(batch, length + 2, 8),
            _padding(batch, length + 2),
        ),
        (SEQUENCE, {0: "batch", 1: "memory"}, {0: "batch", 1: "memory"}),
    ),
    "transformer": ZooModel(
        Seq2Seq,
        lambda batch, length: (torch.randn(batch, length, 8), torch.randn(batch, length + 1, 8)),
        (SEQUENCE, {0: "batch", 1: "target_length"}),
    ),
    "packed dropout": ZooModel(
        lambda: nn.Sequential(nn.Linear(5, 8), nn.Dropout(0.5), nn.Linear(8, 3)),
        lambda batch, length: (torch.randn(batch, 5),),
        (BATCH,),
        is_random=True,
    ),
}
