"""What callbacks read of an optimizer."""

from __future__ import annotations

from typing import Any


def learning_rates(optimizer: Any) -> dict[str, float]:
    """Return the learning rate of an optimizer by the name of its curve: one for each inner one, as Keras has them.

    Args:
        optimizer: a `keras.Optimizer`, or anything else, which has none.
    """
    import keras

    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    if hasattr(optimizer, "optimizers"):
        return {f"learning_rate_{one.name}": _number(one.learning_rate) for one in optimizer.optimizers}
    if isinstance(optimizer, keras.Optimizer):
        return {"learning_rate": _number(optimizer.learning_rate)}
    return {}


def steps_done(optimizer: Any) -> int:
    """Return how many steps an optimizer has made; 0 where it does not count them."""
    import keras

    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    if hasattr(optimizer, "optimizers"):
        return max((steps_done(one) for one in optimizer.optimizers), default=0)
    if not isinstance(optimizer, keras.Optimizer):
        return 0
    return int(_number(optimizer.iterations)) * (optimizer.gradient_accumulation_steps or 1)


def _number(value: Any) -> float:
    import keras

    return float(keras.ops.convert_to_numpy(value))
