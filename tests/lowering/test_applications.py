"""Networks as they are used: with one transpose at the entry, and the same numbers."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from helpers.agreement import assert_agree

from unikeras import lowering


def scaled_weights(model, rng):
    """Give each weight values that keep a deep network's activations in range."""
    for weight in model.weights:
        if "variance" in weight.name or "gamma" in weight.name:
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        elif len(weight.shape) == 1:
            weight.assign(rng.normal(0, 0.1, weight.shape))
    return model


@pytest.mark.parametrize("name", ["MobileNetV3Small", "EfficientNetV2B0"])
def test_an_application(name):
    rng = np.random.default_rng(0)
    network = getattr(keras.applications, name)(weights=None, input_shape=(64, 64, 3), classes=10)
    model = scaled_weights(network, rng)
    module = lowering.to_torch(model)
    assert_agree(module, model, rng.uniform(0, 255, (2, 64, 64, 3)).astype("float32"))
    assert sum(node.target == "permute" for node in module.graph.nodes) == 1
