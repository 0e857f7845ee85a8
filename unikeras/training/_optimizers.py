"""What Keras' optimizers leave unsaid: that gradients match variables, and which variables change in place."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import keras

from unikeras.errors import GradientError
from unikeras.training import _rollback


@functools.cache
def install() -> None:
    """Check what `Optimizer.apply` is given, and keep what it changes for a failing step to get back."""
    own = keras.Optimizer.apply

    @functools.wraps(own)
    def apply(self: keras.Optimizer, grads: Any, trainable_variables: Any = None) -> Any:
        grads = list(grads)
        variables = list(self._trainable_variables if trainable_variables is None else trainable_variables)
        if variables:
            _check(grads, variables)
        _rollback.keep([*variables, *self.variables])
        return own(self, grads, trainable_variables)

    keras.Optimizer.apply = apply


def _check(grads: Sequence[Any], variables: Sequence[Any]) -> None:
    if len(grads) != len(variables):
        raise GradientError(
            f"apply received {len(grads)} gradients for {len(variables)} variables; "
            "pass one for each, in the order of the variables, and None where there is none"
        )
    if all(gradient is None for gradient in grads):
        raise GradientError(
            f"all {len(grads)} gradients are None: what was differentiated does not depend on any of "
            f"{', '.join(variable.path for variable in variables[:4])}{', ...' if len(variables) > 4 else ''}. "
            "Compute the loss inside the tape's block, from the model's output, with keras.ops"
        )
