"""Keras' LSTM and GRU layers as one operator each, where Keras would loop over the steps in Python."""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import torch
from keras import activations, ops

from unikeras._keras.patched import patched
from unikeras.backends.torch.kernels import recurrence

# By name: the package has a function of the module's name.
_rnn = importlib.import_module("keras.src.backend.torch.rnn")
_TANH = (activations.tanh, torch.tanh, ops.tanh)
_SIGMOID = (activations.sigmoid, torch.sigmoid, ops.sigmoid)


@contextlib.contextmanager
def fused_recurrence() -> Iterator[None]:
    """Let Keras' LSTM and GRU run over a sequence by one operator in what this thread runs in the block."""
    with patched(_rnn, "_fallback_lstm", _lstm), patched(_rnn, "_fallback_gru", _gru):
        yield


def _lstm(own: Callable[..., Any]) -> Callable[..., Any]:
    return _fused(own, "lstm", ("initial_state_h", "initial_state_c"))


def _gru(own: Callable[..., Any]) -> Callable[..., Any]:
    return _fused(own, "gru", ("initial_state",))


def _fused(own: Callable[..., Any], cell: str, names: tuple[str, ...]) -> Callable[..., Any]:
    signature = inspect.signature(own)

    @functools.wraps(own)
    def run(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs).arguments
        x, states = given["inputs"], [given[name] for name in names]
        weights = [given["kernel"], given["recurrent_kernel"], given["bias"]]
        if not _is_usual(given, x, states):
            return own(*args, **kwargs)
        found = recurrence(cell, x, states, None, [weight for weight in weights if weight is not None])
        if found is None:
            return own(*args, **kwargs)
        outputs, last = found
        return last[0], outputs if given["return_sequences"] else last[0].unsqueeze(1), last

    return run


def _is_usual(given: dict[str, Any], x: torch.Tensor, states: list[torch.Tensor]) -> bool:
    """Say whether the operator computes what Keras' loop does: it broadcasts nothing, and knows two activations."""
    units = given["recurrent_kernel"].shape[0]
    return (
        given["activation"] in _TANH
        and given["recurrent_activation"] in _SIGMOID
        and given.get("batch_first", True)
        and x.ndim == 3
        and all(tuple(state.shape) == (x.shape[0], units) for state in states)
        and all(state.dtype == x.dtype for state in [*states, given["kernel"]])
    )
