"""Lowered models against the models themselves, whatever backend these run on."""

from __future__ import annotations

import numpy as np


def randomize(model, seed: int = 0):
    """Give every weight a value that shows where it is used: zeros and ones hide mistakes."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if "int" in weight.dtype:
            continue
        low, high = (0.5, 1.5) if "variance" in weight.name else (-0.6, 0.6)
        weight.assign(rng.uniform(low, high, weight.shape).astype("float32"))
    return model


def numpy_of(structure):
    import keras

    return [np.asarray(keras.ops.convert_to_numpy(leaf)) for leaf in keras.tree.flatten(structure)]


def tensor(array):
    import torch

    if array.dtype.name == "bfloat16":
        return torch.tensor(array.astype("float32")).bfloat16()
    return torch.tensor(array)


def run(module, inputs):
    """Run a module on numpy arrays, flat, and return numpy arrays, flat."""
    import keras
    import torch

    with torch.no_grad():
        outputs = module(*map(tensor, keras.tree.flatten(inputs)))
    return [
        t.float().numpy() if t.dtype == torch.bfloat16 else t.numpy() for t in keras.tree.flatten(outputs)
    ]


def assert_agree(module, model, inputs, rtol=1e-4, atol=1e-5):
    """Assert that a lowered model gives what the model gives."""
    wanted, got = numpy_of(model(inputs, training=False)), run(module, inputs)
    assert [array.shape for array in got] == [array.shape for array in wanted]
    for ours, theirs in zip(got, wanted, strict=True):
        assert ours.dtype == theirs.dtype or theirs.dtype.name == "bfloat16"
        np.testing.assert_allclose(ours.astype("f8"), theirs.astype("f8"), rtol=rtol, atol=atol)
