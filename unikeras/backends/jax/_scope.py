"""The scope under which JAX traces a function: which variables it reads and writes."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import jax

from unikeras._keras import scopes


class RecordingScope(scopes.RecordingScope):
    """Notes reads and writes; variables that are created inside get concrete values."""

    def outside(self) -> AbstractContextManager[Any]:
        return jax.ensure_compile_time_eval()

    def has_value(self, tensor: Any) -> bool:
        return not isinstance(tensor, jax.core.Tracer)
