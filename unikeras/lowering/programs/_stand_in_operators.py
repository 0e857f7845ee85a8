"""Operators of ours that an exported graph keeps where torch's own would lose something."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch

NAMESPACE = "unikeras_program"
_RECURRENT = (
    "Tensor[] params, bool has_biases, int num_layers, float dropout, bool train, bool bidirectional, "
    "bool batch_first) -> (Tensor, Tensor"
)


@functools.cache
def stand_in(name: str) -> Any:
    """Return an operator: `"stop"`, `"lstm"`, `"gru"`, `"rnn_tanh"` or `"rnn_relu"`."""
    _library()
    return getattr(getattr(torch.ops, NAMESPACE), name).default


@functools.cache
def _library() -> torch.library.Library:
    library = torch.library.Library(NAMESPACE, "DEF")
    _define(library, "stop(Tensor input) -> Tensor", torch.clone, torch.empty_like)
    _define(library, f"lstm(Tensor input, Tensor[] hx, {_RECURRENT}, Tensor)", _lstm, _lstm)
    for name in ("gru", "rnn_tanh", "rnn_relu"):
        _define(library, f"{name}(Tensor input, Tensor hx, {_RECURRENT})", _recurrent, _recurrent)
    return library


def _define(library: torch.library.Library, schema: str, real: Any, fake: Any) -> None:
    name = schema.partition("(")[0]
    library.define(schema)
    library.impl(name, real, "CompositeExplicitAutograd")
    torch.library.register_fake(f"{NAMESPACE}::{name}", fake, lib=library)


# These are traced, and never run: their values are not the layer's.
def _lstm(input: torch.Tensor, hx: Sequence[torch.Tensor], *_: Any) -> tuple[torch.Tensor, ...]:
    directions = 2 if _[5] else 1
    output = input.new_empty((*input.shape[:2], directions * hx[0].shape[-1]))
    return output, torch.empty_like(hx[0]), torch.empty_like(hx[1])


def _recurrent(input: torch.Tensor, hx: torch.Tensor, *_: Any) -> tuple[torch.Tensor, ...]:
    directions = 2 if _[5] else 1
    return input.new_empty((*input.shape[:2], directions * hx.shape[-1])), torch.empty_like(hx)
