"""Training: compiled functions with state, models whose steps are written once."""

from __future__ import annotations

from unikeras.training._debug import debug
from unikeras.training._function import function

__all__ = ["debug", "function"]
