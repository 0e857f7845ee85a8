"""The optimizers that a model holds beside the one it was compiled with; Keras tracks and saves none of them."""

from __future__ import annotations

from typing import Any

import keras


def attached_optimizers(model: Any) -> dict[str, Any]:
    """Return the optimizers among a model's attributes, without `model.optimizer`.

    Args:
        model: a Keras model or layer.

    Returns:
        Each by its attribute; one in a list, tuple or dictionary by attribute and place, such as "optimizers.critic".
    """
    compiled = getattr(model, "optimizer", None)
    # With a scaled loss, compile() wraps the optimizer that it is given.
    seen = {id(compiled), id(getattr(compiled, "inner_optimizer", None))}
    found = {}
    for attribute, value in vars(model).items():
        for name, part in _parts(attribute, value):
            if isinstance(part, keras.Optimizer) and id(part) not in seen:
                seen.add(id(part))
                found[name] = part
    return found


def optimized_variables(optimizer: Any) -> list[Any] | None:
    """Return the variables that an optimizer was built for, in its order; None for one that is not built."""
    return list(optimizer._trainable_variables) if optimizer.built else None


def _parts(name: str, value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [(f"{name}.{key}", part) for key, part in value.items()]
    if isinstance(value, list | tuple):
        return [(f"{name}.{number}", part) for number, part in enumerate(value)]
    return [(name, value)]
