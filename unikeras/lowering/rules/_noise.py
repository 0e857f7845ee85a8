"""Layers that do something in training alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import layers
from torch import nn

from unikeras.lowering._layer_call import Call
from unikeras.lowering._layouts import Layout, Value
from unikeras.lowering._rule_registry import rule
from unikeras.lowering.modules.noise import GaussianDropout, GaussianNoise
from unikeras.lowering.rules._activations import described

SPATIAL = {
    layers.SpatialDropout1D: nn.Dropout1d,
    layers.SpatialDropout2D: nn.Dropout2d,
    layers.SpatialDropout3D: nn.Dropout3d,
}


@rule(layers.Dropout, layers.AlphaDropout)
def _dropout(call: Call) -> Any:
    layer = call.layer
    if not call.trains or not layer.rate:
        return call.values
    module = nn.Dropout if type(layer) is layers.Dropout else nn.AlphaDropout
    shape = layer.noise_shape
    if shape is None or tuple(shape) == call.x.shape:
        return _mapped(call, lambda: module(float(layer.rate)))
    steps = tuple(shape)[1:2] == (1,) and call.x.rank == 3 and tuple(shape)[2] in (None, call.x.shape[2])
    call.refuse_unless(
        steps and module is nn.Dropout,
        f"drops by a noise_shape {tuple(shape)}, which torch.nn.Dropout has not",
    )
    return _channels(call, nn.Dropout1d)


@rule(*SPATIAL)
def _spatial_dropout(call: Call) -> Any:
    if not call.trains or not call.layer.rate:
        return call.values
    return _channels(call, SPATIAL[type(call.layer)])


def _channels(call: Call, module: Any) -> Value:
    """Drop whole channels, which come second."""
    layout = Layout.of(getattr(call.layer, "data_format", None) or "channels_last")
    dropped = call.module(lambda layer: module(float(layer.rate)))(call.x.to(layout))
    return _with_mask(call, described(call, dropped, layout))


@rule(layers.GaussianNoise)
def _gaussian_noise(call: Call) -> Any:
    return noise(call, call.layer.stddev, GaussianNoise)


@rule(layers.GaussianDropout)
def _gaussian_dropout(call: Call) -> Any:
    return noise(call, call.layer.rate, GaussianDropout)


def noise(call: Call, amount: float, module: Callable[[float], nn.Module]) -> Any:
    """Return what a module of an amount of noise gives, or what came in where there is none."""
    if not call.trains or not amount:
        return call.values
    return _mapped(call, lambda: module(float(amount)))


def _mapped(call: Call, build: Callable[[], nn.Module]) -> Value:
    return _with_mask(call, call.x.map(call.module(lambda _: build())))


def _with_mask(call: Call, value: Value) -> Value:
    value.mask = call.x.mask
    return value
