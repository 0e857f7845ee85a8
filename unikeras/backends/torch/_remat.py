"""What is computed again on the way back (torch.utils.checkpoint) sees the variables as the first run saw them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import torch
from torch.utils.checkpoint import checkpoint

from unikeras.backends import variable_reads
from unikeras.backends.torch import _assign, _tape
from unikeras.backends.torch._levels import inside_transform


def remat(f: Callable[[Sequence[Any]], list[Any]], tensors: Sequence[Any]) -> list[Any]:
    """Run a function that keeps only its inputs for the backward pass."""
    symbolic = any(tensor.device.type == "meta" for tensor in tensors)
    if symbolic or inside_transform() or torch.compiler.is_compiling() or not torch.is_grad_enabled():
        return f(tensors)  # torch.func forbids hooks on what autograd keeps, which the second run needs
    entry, was_recording, has_run = _Entry(), _tape.is_recording(), False

    def run(*values: torch.Tensor) -> list[Any]:
        nonlocal has_run
        if has_run:
            with variable_reads.unseen(), _tape.repeating(was_recording), entry:
                return f(values)
        _assign.protect(entry)
        variable_reads.push(entry)
        try:
            return f(values)
        finally:
            has_run = True
            variable_reads.remove(entry)

    return list(checkpoint(run, *tensors, use_reentrant=False))


class _Entry(keras.StatelessScope):
    """Sees what variables return in the first run; as a scope, it returns the same in the second."""

    def __init__(self) -> None:
        super().__init__(initialize_variables=False)
        # What each variable held, by its id, and whether autograd followed it. A parameter itself would change.
        self._values: dict[int, tuple[torch.Tensor, bool]] = {}

    def _read(self, variable: keras.Variable, value: torch.Tensor) -> torch.Tensor:
        self._values.setdefault(id(variable), (value.detach(), value.requires_grad))
        return value

    def has_read(self, variable: keras.Variable) -> bool:
        """Say whether an assignment to the variable must leave the memory of its old value alone."""
        return id(variable) in self._values

    def get_current_value(self, variable: keras.Variable) -> torch.Tensor | None:
        """Return what the variable gave out, or None for one that the first run did not read."""
        if id(variable) not in self._values:
            return None
        value, followed = self._values[id(variable)]
        return value.detach().requires_grad_(followed)
