"""The gamma function's family, which Keras lacks: Stirling's series far from 0, and recurrences towards it."""

from __future__ import annotations

import math
from typing import Any

from keras import ops

from unikeras.interop.operators._arrays import as_real, constant
from unikeras.interop.operators._rules import register_operator

# Bernoulli numbers over what stands beside them in the series of log gamma: B(2k) / (2k (2k - 1)).
_SERIES = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156, -3617 / 122400)
_STEPS = 10


def _stirling(x: Any) -> Any:
    """Return log gamma of positive numbers: the series at x + 10, less the logarithms that lead back."""
    far = x + _STEPS
    inverse = 1 / far
    terms, power = ops.zeros_like(x), inverse
    for factor in _SERIES:
        terms = terms + constant(factor, x) * power
        power = power * inverse * inverse
    product = ops.ones_like(x)
    for step in range(_STEPS):
        product = product * (x + step)
    half_log = constant(0.5 * math.log(2 * math.pi), x)
    return (far - 0.5) * ops.log(far) - far + half_log + terms - ops.log(product)


@register_operator("aten.lgamma", "aten.special_gammaln")
def lgamma(x: Any) -> Any:
    """Return the logarithm of the size of the gamma function; left of 1/2 by its reflection."""
    x = as_real(x)
    is_left = ops.less(x, 0.5)
    right = _stirling(ops.where(is_left, 1 - x, x))
    sine = ops.abs(ops.sin(math.pi * ops.where(is_left, x, ops.full_like(x, 0.5))))
    return ops.where(is_left, constant(math.log(math.pi), x) - ops.log(sine) - right, right)


@register_operator("aten.digamma", "aten.special_digamma", "aten.special_psi")
def digamma(x: Any) -> Any:
    """Return the derivative of log gamma."""
    x = as_real(x)
    is_left = ops.less(x, 0.5)
    positive = ops.where(is_left, 1 - x, x)
    far = positive + _STEPS
    inverse = 1 / far
    result, power = ops.log(far) - 0.5 * inverse, inverse * inverse
    for place, factor in enumerate(_SERIES):
        result = result - constant(factor * (2 * place + 1), x) * power
        power = power * inverse * inverse
    for step in range(_STEPS):
        result = result - 1 / (positive + step)
    angle = math.pi * ops.where(is_left, x, ops.full_like(x, 0.25))
    return ops.where(is_left, result - math.pi * ops.cos(angle) / ops.sin(angle), result)
