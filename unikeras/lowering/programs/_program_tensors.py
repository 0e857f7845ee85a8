"""The parameters and buffers of a module, and constants that its trace met, by the memory they lie in."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from unikeras._specs.torch_program import ProgramVariable
from unikeras.lowering._module_state import arrays_of

Array = np.ndarray[Any, Any]


class ProgramTensors:
    """A module's tensors under their names; tied names are one variable.

    Args:
        module: the module.
    """

    def __init__(self, module: torch.nn.Module) -> None:
        self._tensors: dict[str, torch.Tensor] = {}
        self._kinds: dict[str, str] = {}
        self._aliases: dict[str, list[str]] = {}
        self._owners: dict[str, str] = {}
        self._by_memory: dict[Any, str] = {}
        for name, parameter in module.named_parameters(remove_duplicate=False):
            self._add(name, parameter, "parameter")
        # A buffer that is not persistent is in no state_dict.
        saved = module.state_dict(keep_vars=True).keys()
        for name, buffer in module.named_buffers(remove_duplicate=False):
            self._add(name, buffer, "buffer" if name in saved else "constant")

    def _add(self, name: str, tensor: torch.Tensor, kind: str) -> str:
        owner = self._by_memory.setdefault(_memory(tensor), name) if tensor.numel() else name
        self._owners[name] = owner
        if owner == name:
            self._tensors[name], self._kinds[name], self._aliases[name] = tensor, kind, []
        else:
            self._aliases[owner].append(name)
        return owner

    def owner(self, name: str) -> str:
        """Return the name of the variable that has this name too."""
        return self._owners[name]

    def has(self, name: str) -> bool:
        """Say whether the module has a parameter or buffer of this name."""
        return name in self._owners

    def add_constant(self, name: str, tensor: torch.Tensor) -> str:
        """Return the variable that a constant is: a parameter or buffer where it is its memory, else a new one."""
        if (known := self._by_memory.get(_memory(tensor))) is not None and tensor.numel():
            return known
        number = 0
        free = name
        while free in self._owners:
            number += 1
            free = f"{name}_{number}"
        return self._add(free, tensor, "constant")

    def variables(self) -> tuple[ProgramVariable, ...]:
        """Return the variables: parameters first, then buffers, then constants."""
        order = ["parameter", "buffer", "constant"]
        return tuple(
            ProgramVariable(
                name,
                tuple(self._tensors[name].shape),
                dtype_name(self._tensors[name].dtype),
                kind == "parameter" and self._tensors[name].requires_grad,
                kind,
                tuple(self._aliases[name]),
            )
            for name, kind in sorted(self._kinds.items(), key=lambda item: order.index(item[1]))
        )

    def arrays(self) -> dict[str, Array]:
        """Return a copy of each variable's value."""
        arrays = arrays_of({variable.name: self._tensors[variable.name] for variable in self.variables()})
        return {name: np.array(array) for name, array in arrays.items()}


def dtype_name(dtype: torch.dtype) -> str:
    """Return a dtype's name without `torch.`."""
    return str(dtype).removeprefix("torch.")


def _memory(tensor: torch.Tensor) -> Any:
    return tensor.device, tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype
