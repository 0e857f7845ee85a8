"""What JAX's errors say of a traced function that asks for values."""

from __future__ import annotations

import jax

from unikeras.backends._contract import TraceFault

# In this order: later classes are bases of earlier ones.
_CLASSES: list[tuple[type[Exception], TraceFault]] = [
    (jax.errors.TracerBoolConversionError, "choice"),
    (jax.errors.TracerIntegerConversionError, "number"),
    (jax.errors.TracerArrayConversionError, "numpy"),
    (jax.errors.NonConcreteBooleanIndexError, "size"),
]
_TEXTS: list[tuple[str, TraceFault]] = [
    ("must be statically specified", "size"),
    ("Shapes must be 1D sequences of concrete values", "size"),
    ("Tracer has no attribute numpy", "numpy"),
    ("unsupported format string passed to", "number"),
    ("cond branch outputs must have the same pytree structure", "branches"),
    ("cond branches must have equal output types", "branches"),
    ("carry input and carry output must have", "loop"),
    ("Abstract tracer value encountered where concrete value is expected", "number"),
]


def fault(error: BaseException) -> TraceFault | None:
    """Return what an error is about, as `Backend.trace_fault` does."""
    for kind, name in _CLASSES:
        if isinstance(error, kind):
            return name
    message = str(error)
    return next((name for text, name in _TEXTS if text in message), None)
