"""`keras.ops.cond` whose branches assign to variables.

Under JAX a branch is traced, so Keras' own `cond` lets a variable end up with the branch's tracer; on the other
backends such branches work, and `LossScaleOptimizer.apply` is made of them. Here what a branch writes leaves it
as a result.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import keras
from keras.src.backend.jax import core

from unikeras._scopes import WriteOnce


@functools.cache
def install() -> None:
    """Put `cond` in the place of Keras' own."""
    own = core.cond

    @functools.wraps(own)
    def cond(pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
        if jax.config.jax_disable_jit:
            return own(pred, true_fn, false_fn)  # one branch runs, as Python
        variables = list({id(v): v for branch in (true_fn, false_fn) for v in _written(branch)}.values())
        if not variables:
            return own(pred, true_fn, false_fn)
        result, values = own(pred, _with_writes(true_fn, variables), _with_writes(false_fn, variables))
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        return result

    core.cond = cond


def _written(branch: Callable[[], Any]) -> list[keras.Variable]:
    written: list[keras.Variable] = []

    def run() -> Any:
        with WriteOnce() as scope:
            result = branch()
        written.extend(scope.written)
        return result

    jax.eval_shape(run)
    return written


def _with_writes(branch: Callable[[], Any], variables: list[keras.Variable]) -> Callable[[], Any]:
    def run() -> Any:
        with WriteOnce() as scope:
            result = branch()
            return result, [scope.get_current_value(variable) for variable in variables]

    return run
