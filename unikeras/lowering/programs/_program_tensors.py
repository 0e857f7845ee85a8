"""The parameters and buffers of a module, and constants that its trace met, by the memory they lie in."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import torch

from unikeras._specs.torch_program import ProgramVariable
from unikeras.lowering._module_state import arrays_of

Array = np.ndarray[Any, Any]
_KINDS = ("parameter", "buffer", "constant")


class ProgramTensors:
    """A module's tensors under their names; tied names are one variable.

    Args:
        module: the module.
    """

    def __init__(self, module: torch.nn.Module) -> None:
        self._module = module
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
        owner = self._by_memory.setdefault(_memory(tensor), name) if _has_memory(tensor) else name
        self._owners[name] = owner
        if owner == name:
            self._tensors[name], self._kinds[name], self._aliases[name] = tensor, kind, []
        else:
            self._aliases[owner].append(name)
        return owner

    def owner(self, name: str) -> str | None:
        """Return the variable that has this name, or None where the module has none."""
        return self._owners.get(name)

    def add_constant(self, name: str, tensor: torch.Tensor) -> tuple[str, bool]:
        """Return the variable that a constant is, and whether gradients stop at it.

        It is a parameter or buffer where it lies in its memory, else a new one. Gradients stop at a detached tensor
        that is an attribute; of one that only the trace met, torch forgets whether it is detached.
        """
        known = self._by_memory.get(_memory(tensor)) if _has_memory(tensor) else None
        if known is not None:
            attribute: Any = self._module
            for part in name.split("."):
                attribute = getattr(attribute, part, None)
            is_detached = isinstance(attribute, torch.Tensor) and not attribute.requires_grad
            return known, is_detached and self._is_trainable(known)
        number = 0
        free = name
        while free in self._owners:
            number += 1
            free = f"{name}_{number}"
        return self._add(free, tensor, "constant"), False

    def variables(self) -> tuple[ProgramVariable, ...]:
        """Return the variables: parameters first, then buffers, then constants."""
        return tuple(
            ProgramVariable(
                name,
                tuple(self._tensors[name].shape),
                dtype_name(self._tensors[name].dtype),
                self._is_trainable(name),
                kind,
                tuple(self._aliases[name]),
            )
            for name, kind in sorted(self._kinds.items(), key=lambda item: _KINDS.index(item[1]))
        )

    def _is_trainable(self, name: str) -> bool:
        return self._kinds[name] == "parameter" and self._tensors[name].requires_grad

    def arrays(self) -> dict[str, Array]:
        """Return a copy of each variable's value."""
        arrays = arrays_of({variable.name: self._tensors[variable.name] for variable in self.variables()})
        return {name: np.array(array) for name, array in arrays.items()}

    def complex_names(self) -> list[str]:
        """Return the names of tensors of complex numbers."""
        return [name for name, tensor in self._tensors.items() if tensor.is_complex()]

    def overlaps(self, written: Collection[str] = ()) -> list[tuple[str, str]]:
        """Return pairs of variables that share a part of their memory, of which one changes.

        Args:
            written: the variables that get new values, beside the trainable ones.
        """
        spans = sorted(
            (*_span(tensor), name) for name, tensor in self._tensors.items() if _has_memory(tensor)
        )
        pairs = []
        for at, (device, _, end, name) in enumerate(spans):
            for other_device, other_start, _, other in spans[at + 1 :]:
                if (other_device, other_start) >= (device, end):
                    break
                if any(one in written or self._is_trainable(one) for one in (name, other)):
                    pairs.append((name, other))
        order = list(self._tensors)
        return [(one, other) for one, other in (sorted(pair, key=order.index) for pair in pairs)]


def dtype_name(dtype: torch.dtype) -> str:
    """Return a dtype's name without `torch.`."""
    return str(dtype).removeprefix("torch.")


def _has_memory(tensor: torch.Tensor) -> bool:
    return tensor.layout == torch.strided and not tensor.is_meta and tensor.numel() > 0


def _memory(tensor: torch.Tensor) -> Any:
    return tensor.device, tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype


def _span(tensor: torch.Tensor) -> tuple[str, int, int]:
    last = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return str(tensor.device), tensor.data_ptr(), tensor.data_ptr() + (last + 1) * tensor.element_size()
