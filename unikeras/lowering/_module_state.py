"""The tensors and settings of torch modules as plain data, and back."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules import activation

from unikeras._base.text import brief
from unikeras.errors import ArgumentError, CorruptArtifact, UnsafeArtifact
from unikeras.lowering import _torch_weights as _weights

Array = np.ndarray[Any, Any]
# What has to agree for two layers to compute the same.
SETTINGS = (
    "eps",
    "momentum",
    "stride",
    "padding",
    "dilation",
    "groups",
    "output_padding",
    "padding_mode",
    "num_groups",
    "num_heads",
    "batch_first",
    "bidirectional",
    "nonlinearity",
    "max_norm",
    "negative_slope",
    "alpha",
    "beta",
    "approximate",
    "add_zero_attn",
    "track_running_stats",
)


@dataclass(frozen=True)
class ModuleSettings:
    """One module inside another.

    Attributes:
        path: its name.
        kind: the name of its class.
        settings: what decides on its numbers, beside its weights.
        is_activation: whether it is one of torch's activations.
    """

    path: str
    kind: str
    settings: dict[str, Any]
    is_activation: bool


def read_checkpoint(path: Path) -> Any:
    """Return what is in a file of `torch.save`, without unpickling more than tensors and containers.

    Raises:
        UnsafeArtifact: it holds other objects, which only unpickling would bring back.
        CorruptArtifact: it cannot be read.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UnsafeArtifact(
            f"{path} holds more than tensors, and reading that could run its maker's code; save "
            "module.state_dict() alone, best as .safetensors"
        ) from error
    except Exception as error:  # whatever a broken file makes torch's readers raise
        raise CorruptArtifact(f"{path} is no file of torch.save that can be read: {brief(error)}") from error


def state_of(module: Any) -> dict[str, Array]:
    """Return the state_dict of a module as arrays."""
    return arrays_of(module.state_dict())


def arrays_of(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping with its tensors as arrays; they share memory where they can.

    Raises:
        ArgumentError: tensors are quantized, sparse, on no device or not made yet; all of them are named.
    """
    problems = []
    arrays: dict[str, Any] = {}
    for name, value in state.items():
        if not isinstance(value, torch.Tensor):
            arrays[name] = value
        elif nn.parameter.is_lazy(value):
            problems.append(f"{name} is not initialized (run the module once)")
        elif value.layout != torch.strided or value.is_quantized or value.is_meta:
            how = "quantized" if value.is_quantized else "on the meta device" if value.is_meta else "sparse"
            problems.append(f"{name} is {how}")
        else:
            arrays[name] = _array(value.detach().cpu())
    if problems:
        raise ArgumentError(f"these tensors cannot be read as arrays: {'; '.join(problems)}")
    return arrays


def _array(value: torch.Tensor) -> Array:
    if value.dtype == torch.bfloat16:
        import ml_dtypes

        return value.contiguous().view(torch.uint16).numpy().view(ml_dtypes.bfloat16)
    return value.numpy()


def tensors_of(arrays: Mapping[str, Array]) -> dict[str, torch.Tensor]:
    """Return arrays as tensors with memory of their own."""
    return {name: _weights.tensor(array).clone() for name, array in arrays.items()}


def settings_of(module: Any) -> list[ModuleSettings]:
    """Return the settings of a module and of all inside it, in the order in which torch lists them."""
    return [
        ModuleSettings(
            path,
            type(part).__name__,
            {name: getattr(part, name) for name in SETTINGS if isinstance(getattr(part, name, part), _PLAIN)},
            type(part).__module__ == activation.__name__ and not isinstance(part, nn.MultiheadAttention),
        )
        for path, part in module.named_modules()
    ]


_PLAIN = (int, float, str, tuple, type(None))
