"""A torch module inside a Keras model stands for itself, with the numbers that it has and in inference mode."""

from __future__ import annotations

import copy
from typing import Any

from keras import layers
from torch import nn

from unikeras.lowering._rule_registry import register


@register(layers.TorchModuleWrapper)
def _torch_module(layer: Any) -> nn.Module:
    module: nn.Module = copy.deepcopy(layer.module)
    return module.eval().requires_grad_(False)
