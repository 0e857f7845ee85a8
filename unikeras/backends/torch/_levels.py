"""The levels of torch.func's transforms, and how to leave them."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack


def inside_transform() -> bool:
    """Say whether one of torch.func's transforms runs in this thread."""
    return torch._C._functorch.peek_interpreter_stack() is not None


def is_transformed(tensor: torch.Tensor) -> bool:
    """Say whether a tensor belongs to a transform, and not to autograd's own graph."""
    return bool(torch._C._functorch.is_functorch_wrapped_tensor(tensor))


def below_transforms() -> AbstractContextManager[Any]:
    """Return a context in which operations run as they do outside all transforms: autograd's own graph sees them."""
    return temporarily_clear_interpreter_stack() if inside_transform() else nullcontext()
