"""Layers that only keras.applications has."""

from __future__ import annotations

from typing import Any

from keras.src.applications import convnext

from unikeras.lowering._layer_call import Call
from unikeras.lowering._layouts import Value
from unikeras.lowering._rule_registry import rule
from unikeras.lowering.modules.noise import StochasticDepth
from unikeras.lowering.rules._activations import described
from unikeras.lowering.rules._noise import noise


@rule(convnext.LayerScale)
def _layer_scale(call: Call) -> Value:
    return described(call, call.x.plain * call.weight("scale" if call.trains else "weight", call.layer.gamma))


@rule(convnext.StochasticDepth)
def _stochastic_depth(call: Call) -> Any:
    return noise(call, call.layer.drop_path_rate, StochasticDepth)
