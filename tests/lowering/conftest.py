"""What the tests share: models with random weights, compared with what they are lowered to."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

# An environment of one framework has nothing to lower to unless that is torch.
collect_ignore_glob = [] if importlib.util.find_spec("torch") else ["test_*.py"]


@pytest.fixture
def lowered():
    """Lower a model with random weights, and assert that it agrees on each of some inputs."""
    from helpers.agreement import assert_agree, randomize

    from unikeras import lowering

    def check(model, *batches, rtol=1e-4, atol=1e-5, **options):
        module = lowering.to_torch(randomize(model), **options)
        for inputs in batches:
            assert_agree(module, model, inputs, rtol, atol)
        return module

    return check


@pytest.fixture
def floats():
    """Return random float32 arrays of a shape, the same ones in every run."""
    rng = np.random.default_rng(1)
    return lambda *shape: rng.normal(size=shape).astype("float32")
