"""A train step and a prediction as Keras' guide for PyTorch writes them: autograd's backward, and no_grad."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import torch


def plain_step(model: Any, optimizer: Any, loss_fn: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """See `Trainer.plain_step`."""
    optimizer.build(model.trainable_variables)

    def step(x: Any, y: Any) -> Any:
        x, y = keras.tree.map_structure(keras.ops.convert_to_tensor, (x, y))
        loss = torch.mean(loss_fn(y, model(x, training=True)))
        model.zero_grad()
        loss.backward()
        gradients = [variable.value.grad for variable in model.trainable_variables]
        with torch.no_grad():
            optimizer.apply(gradients, model.trainable_variables)
        return loss

    return step


def plain_prediction(model: Any) -> Callable[[Any], Any]:
    """See `Trainer.plain_prediction`."""

    @torch.no_grad()
    def predict(x: Any) -> Any:
        outputs = model(keras.tree.map_structure(keras.ops.convert_to_tensor, x), training=False)
        return keras.tree.map_structure(keras.ops.convert_to_numpy, outputs)

    return predict
