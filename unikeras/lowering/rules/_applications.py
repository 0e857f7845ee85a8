"""Layers that only keras.applications has."""

from __future__ import annotations

from keras.src.applications import convnext

from unikeras.lowering._layer_call import Call
from unikeras.lowering._layouts import Value
from unikeras.lowering._rule_registry import rule
from unikeras.lowering.rules._activations import described


@rule(convnext.LayerScale)
def _layer_scale(call: Call) -> Value:
    return described(call, call.x.plain * call.weight("scale" if call.trains else "weight", call.layer.gamma))
