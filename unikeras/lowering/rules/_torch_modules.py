"""A torch module inside a Keras model stands for itself, with the numbers that it has and in inference mode."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from keras import layers, tree
from torch import nn

from unikeras.lowering._call_refusal import Refusal
from unikeras.lowering._layer_call import Call
from unikeras.lowering._rule_registry import HasModule, register, rule


@register(layers.TorchModuleWrapper)
def _torch_module(layer: Any) -> nn.Module:
    module: nn.Module = copy.deepcopy(layer.module)
    return module.eval().requires_grad_(False)


@rule(HasModule)
def _own_module(call: Call) -> Any:
    call.refuse_unless(not call.trains, "has a torch module of its own; pass that to torch")
    made = call.module(_flat_module)(*call.tensors, **call.named_tensors)
    return tuple(made[number] for number in range(len(call.outputs)))


def _flat_module(layer: Any) -> nn.Module:
    module = layer.to_torch_module()
    if module is None:
        raise Refusal("runs a program, or in mixed precision; only a torch module stands for itself")
    return _FlatModule(module).eval().requires_grad_(False)


class _FlatModule(nn.Module):
    """A module that takes floats of any dtype, and returns its tensors flat, in Keras' order."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.dtype = next((one.dtype for one in module.parameters() if one.is_floating_point()), None)

    def forward(self, *args: Any, **kwargs: Any) -> tuple[torch.Tensor, ...]:
        """Run the module."""
        args, kwargs = tree.map_structure(self._cast, (args, kwargs))
        return tuple(_tensors(self.module(*args, **kwargs)))

    def _cast(self, value: Any) -> Any:
        is_float = isinstance(value, torch.Tensor) and value.is_floating_point()
        return value.to(self.dtype) if is_float and self.dtype is not None else value


def _tensors(result: Any) -> list[torch.Tensor]:
    if isinstance(result, Mapping):
        return [leaf for key in sorted(result) for leaf in _tensors(result[key])]
    if isinstance(result, tuple | list):
        return [leaf for part in result for leaf in _tensors(part)]
    return [result] if isinstance(result, torch.Tensor) else []
