"""Which primitives a program on JAX consists of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from jax.extend.core import jaxprs_in_params

_CALLS = ("jit", "pjit", "closed_call", "core_call")  # what they call is counted, and not they


def count_operators(closed: Any) -> dict[str, int]:
    """Count the primitives of a jaxpr by name, with those of the functions, loops and branches in it."""
    names = (equation.primitive.name for equation in equations(closed.jaxpr))
    return dict(Counter(name for name in names if name not in _CALLS))


def equations(jaxpr: Any) -> Iterator[Any]:
    """Yield the equations of a jaxpr, and those inside of them."""
    for equation in jaxpr.eqns:
        yield equation
        for inner in jaxprs_in_params(equation.params):
            yield from equations(inner)
