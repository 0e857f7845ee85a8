"""Values of variables that a failing step gets back.

Keras' optimizers change parameters in place. The memory that holds the old numbers is kept, and the parameter
goes on in memory with a copy of them. On the CPU that memory is the one kept at the step before: a fresh one would
cost more than the copy, for the system gives it page by page. An accelerator's allocator has memory at hand, and
less of it.
"""

from __future__ import annotations

from typing import Any

import torch

from unikeras.backends._contract import KeptValue
from unikeras.backends.torch import _assign

_SPARE = "_spare_memory"  # the variable's own attribute: it goes when the variable goes


def keep(variable: Any) -> KeptValue:
    """Keep a variable's value; the variable goes on with a copy."""
    parameter = variable._value
    old = parameter.data
    parameter.data = _copied(old, vars(variable).pop(_SPARE, None))

    def restore() -> None:
        parameter.data = old

    def release() -> None:
        # A tape that read the variable looks at the old memory still.
        if old.device.type == "cpu" and not _assign.is_read(variable):
            vars(variable)[_SPARE] = old

    return KeptValue(restore, release)


def _copied(value: torch.Tensor, spare: torch.Tensor | None) -> torch.Tensor:
    if (
        spare is None
        or spare.shape != value.shape
        or spare.dtype != value.dtype
        or spare.stride() != value.stride()
    ):
        return value.clone()
    return spare.copy_(value)
