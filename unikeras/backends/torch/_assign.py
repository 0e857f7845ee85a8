"""Assigning to a variable whose value a tape has still to answer for.

Keras assigns in place, which on PyTorch also changes what autograd kept for the backward pass. Where a
tape has read the variable and not yet been released, the parameter gets new memory instead: the tape keeps
a view of the old (`TorchTape.read`), and its gradient is with respect to the value that was read.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import keras
import torch

# What live tapes have read, each a mapping by the variable's id.
_protected: list[Mapping[int, Any]] = []


def protect(reads: Mapping[int, Any]) -> None:
    """Keep the values that a tape reads from being overwritten."""
    _install()
    if not any(reads is known for known in _protected):
        _protected.append(reads)


def unprotect(reads: Mapping[int, Any]) -> None:
    """Let them be overwritten again."""
    _protected[:] = [known for known in _protected if known is not reads]


@functools.cache
def _install() -> None:
    own = keras.Variable._direct_assign

    @functools.wraps(own)
    def _direct_assign(self: keras.Variable, value: torch.Tensor) -> None:
        if any(id(self) in reads for reads in _protected):
            parameter = self._value
            parameter.data = value.detach().to(parameter.device, parameter.dtype, copy=True)
        else:
            own(self, value)

    keras.Variable._direct_assign = _direct_assign
