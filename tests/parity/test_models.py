"""Train steps written once: the same curves and the same state on every backend, in fit and in one's own loop."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from helpers import models

import unikeras as uk

BACKENDS = uk.backends.available()
# (of the logged curves, of the state); bfloat16 has three digits.
TOLERANCE = {models.transformer: (2e-2, 5e-2)}

pytestmark = pytest.mark.usefixtures("one_thread")


@functools.cache
def outcome(backend, make):
    return uk.run_on(backend, models.both_ways, make, timeout=300)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("make", models.MODELS, ids=lambda make: make.__name__)
def test_a_model_learns_in_fit_as_in_a_loop(make, backend):
    curves, state = outcome(backend, make)
    assert curves
    assert all(len(curve) == models.STEPS and np.all(np.isfinite(curve)) for curve in curves.values())
    assert all(np.all(np.isfinite(value)) for value in state.values())
    assert max(np.max(np.abs(curve - curve[0])) for curve in curves.values()) > 0.01


@pytest.mark.parametrize("make", models.MODELS, ids=lambda make: make.__name__)
def test_every_backend_trains_alike(make):
    if len(BACKENDS) < 2:
        pytest.skip("one backend is installed, so there is nothing to compare")
    (curves, state), *others = [outcome(backend, make) for backend in BACKENDS]
    near, near_state = TOLERANCE.get(make, (1e-4, 1e-3))
    for other_curves, other_state in others:
        assert other_curves.keys() == curves.keys()
        for name, curve in curves.items():
            is_count = "accuracy" in name or name == "agreement"
            np.testing.assert_allclose(
                other_curves[name], curve, rtol=near, atol=near if is_count else 0, err_msg=name
            )
        assert len(other_state) == len(state)
        for (name, value), theirs in zip(state.items(), other_state.values(), strict=True):
            scale = max(1.0, float(np.max(np.abs(value))))
            np.testing.assert_allclose(theirs / scale, value / scale, rtol=0, atol=near_state, err_msg=name)
