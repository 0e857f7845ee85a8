"""What a step that fails gets back: the variables that optimizers change in place."""

from __future__ import annotations

from unikeras.autodiff import _applied
from unikeras.training import _rollback


def install() -> None:
    """Check what `Optimizer.apply` is given, and keep what it changes for a failing step to get back."""
    _applied.install()
    _applied.listen(_rollback.keep)
