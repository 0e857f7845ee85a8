"""The constructor's call of each module of torch, as a person writes it: without what is the default."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from unikeras.lowering.modules.attention_heads import MultiHeadAttention
from unikeras.lowering.modules.masked_recurrences import MaskedGRU, MaskedLSTM, MaskedRNN, MaskedSteps
from unikeras.lowering.modules.noise import GaussianDropout, GaussianNoise, StochasticDepth
from unikeras.lowering.sources._literal_text import literal

Arguments = tuple[list[Any], dict[str, tuple[Any, Any]]]
# The classes whose own source goes into the file, with those that they are made of.
WRITTEN_OUT: dict[type, tuple[type, ...]] = {
    MultiHeadAttention: (),
    MaskedLSTM: (MaskedSteps,),
    MaskedGRU: (MaskedSteps,),
    MaskedRNN: (MaskedSteps,),
    GaussianNoise: (),
    GaussianDropout: (),
    StochasticDepth: (),
}


def constructor(module: nn.Module) -> tuple[str, list[str]] | None:
    """Return the name of a module's class and its arguments as text; None where the class is not known."""
    kind = type(module)
    if kind is nn.Sequential:
        parts = [constructor(part) for part in module]
        return (
            None if None in parts else ("nn.Sequential", [f"{p[0]}({', '.join(p[1])})" for p in parts if p])
        )
    if kind not in _ARGUMENTS:
        return None
    positional, named = _ARGUMENTS[kind](module)
    texts = [literal(_short(value)) for value in positional]
    texts += [
        f"{name}={literal(_short(value))}" for name, (value, default) in named.items() if value != default
    ]
    return (kind.__name__ if kind in WRITTEN_OUT else f"nn.{kind.__name__}"), texts


def _short(value: Any) -> Any:
    """Return one number where all axes have the same."""
    return value[0] if type(value) is tuple and value and len(set(value)) == 1 else value


def _each(module: Any, number: int) -> tuple[int, ...]:
    return (number,) * len(module.kernel_size)


def _linear(module: Any) -> Arguments:
    return [module.in_features, module.out_features], {"bias": (module.bias is not None, True)}


def _convolution(module: Any) -> Arguments:
    named = {
        "kernel_size": (module.kernel_size, None),
        "stride": (module.stride, _each(module, 1)),
        "padding": (module.padding, _each(module, 0)),
        "output_padding": (module.output_padding, _each(module, 0)),
        "dilation": (module.dilation, _each(module, 1)),
        "groups": (module.groups, 1),
        "bias": (module.bias is not None, True),
    }
    return [module.in_channels, module.out_channels], named


def _batch_norm(module: Any) -> Arguments:
    named = {
        "eps": (module.eps, 1e-5),
        "momentum": (module.momentum, 0.1),
        "affine": (module.affine, True),
    }
    return [module.num_features], named


def _layer_norm(module: Any) -> Arguments:
    shape = module.normalized_shape
    named = {
        "eps": (module.eps, 1e-5),
        "elementwise_affine": (module.weight is not None, True),
        "bias": (module.bias is not None or module.weight is None, True),
    }
    return [shape[0] if len(shape) == 1 else _Whole(shape)], named


class _Whole(tuple[int, ...]):
    """A shape that stays one, though all of its sizes are equal."""

    __slots__ = ()


def _rms_norm(module: Any) -> Arguments:
    return [module.normalized_shape[0]], {"eps": (module.eps, None)}


def _group_norm(module: Any) -> Arguments:
    named = {"eps": (module.eps, 1e-5), "affine": (module.affine, True)}
    return [module.num_groups, module.num_channels], named


def _recurrence(module: Any) -> Arguments:
    named = {
        "nonlinearity": (getattr(module, "nonlinearity", "tanh"), "tanh"),
        "bias": (module.bias, True),
        "batch_first": (module.batch_first, False),
        "bidirectional": (module.bidirectional, False),
    }
    return [module.input_size, module.hidden_size], named


def _pool(module: Any) -> Arguments:
    return [module.kernel_size], {"stride": (_short(module.stride), _short(module.kernel_size))}


def _attention(module: Any) -> Arguments:
    heads, size = module.heads, module.query.in_features
    head_size, value_size = module.query.out_features // heads, module.value.out_features // heads
    named = {
        "value_size": (value_size, head_size),
        "key_features": (module.key.in_features, size),
        "value_features": (module.value.in_features, size),
        "out_features": (module.attention_output.out_features, size),
        "dropout": (module.dropout, 0.0),
        "bias": (module.query.bias is not None, True),
    }
    return [size, heads, head_size], named


_ARGUMENTS: dict[type, Callable[[Any], Arguments]] = {
    nn.Linear: _linear,
    **dict.fromkeys((nn.Conv1d, nn.Conv2d, nn.Conv3d), _convolution),
    **dict.fromkeys((nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d), _convolution),
    **dict.fromkeys((nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d), _batch_norm),
    nn.LayerNorm: _layer_norm,
    nn.RMSNorm: _rms_norm,
    nn.GroupNorm: _group_norm,
    nn.Embedding: lambda module: ([module.num_embeddings, module.embedding_dim], {}),
    nn.PReLU: lambda module: ([module.num_parameters], {}),
    **dict.fromkeys((nn.LSTM, nn.GRU, nn.RNN, MaskedLSTM, MaskedGRU, MaskedRNN), _recurrence),
    **dict.fromkeys((nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d), _pool),
    **dict.fromkeys((nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d), _pool),
    **dict.fromkeys(
        (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout),
        lambda module: ([module.p], {}),
    ),
    **dict.fromkeys((GaussianDropout, StochasticDepth), lambda module: ([module.rate], {})),
    GaussianNoise: lambda module: ([module.stddev], {}),
    MultiHeadAttention: _attention,
}
