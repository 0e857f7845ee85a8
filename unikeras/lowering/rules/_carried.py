"""What a recurrent layer says at masked steps that begin a chunk."""

from __future__ import annotations

import torch

from unikeras.lowering._layer_call import Call
from unikeras.lowering._layouts import Value
from unikeras.lowering._rule_registry import rule
from unikeras.streaming import Carried


@rule(Carried)
def _carried(call: Call) -> Value:
    outputs, steps, state = (call.value(argument).plain for argument in call.args)
    seen = steps.bool().long().cumsum(1) > 0
    if len(call.x.shape) == 2:
        return Value(torch.where(seen[:, -1:], outputs, state))
    value = Value(torch.where(seen.unsqueeze(-1), outputs, state.unsqueeze(1)))
    value.mask = call.x.mask
    return value
