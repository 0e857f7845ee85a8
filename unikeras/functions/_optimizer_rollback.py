"""What a step that fails gets back: the variables that optimizers change in place."""

from __future__ import annotations

from unikeras.autodiff import check_applied_gradients, listen_to_applied_gradients
from unikeras.functions import _rollback


def keep_what_optimizers_change() -> None:
    """Check what `Optimizer.apply` is given, and keep what it changes for a failing step to get back."""
    check_applied_gradients()
    listen_to_applied_gradients(_rollback.keep)
