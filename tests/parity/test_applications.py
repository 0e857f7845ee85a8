"""Gradients of gradients in earnest: the same loss on every backend, and the same numbers by another way."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from helpers import applications

import unikeras as uk

BACKENDS = uk.backends.available()
TOLERANCE = 1e-3
TWO_WAYS = {
    applications.burgers: ["residual"],
    applications.maml: ["gradient"],
    applications.explanations: ["heat", "attributed"],
    applications.dp_sgd: ["gradients"],
    applications.curvature: ["hessian", "quadratic", "network"],
}

pytestmark = pytest.mark.usefixtures("one_thread")


@functools.cache
def outcome(backend: str, application) -> applications.Outcome:
    return uk.run_on(backend, application, timeout=300)


def distance(actual: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, relative to the largest number."""
    assert actual.shape == expected.shape
    return float(np.max(np.abs(actual - expected)) / np.max(np.abs(expected)))


@pytest.mark.parametrize("application", applications.APPLICATIONS, ids=lambda f: f.__name__)
def test_every_backend_computes_the_same(application):
    if len(BACKENDS) < 2:
        pytest.skip("one backend is installed, so there is nothing to compare")
    first, *others = [outcome(backend, application) for backend in BACKENDS]
    distances = {name: max(distance(other[name], first[name]) for other in others) for name in first}
    assert all(far <= TOLERANCE for far in distances.values()), distances


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("application", applications.APPLICATIONS, ids=lambda f: f.__name__)
def test_the_loss_goes_down(application, backend):
    loss = outcome(backend, application)["loss"]
    assert np.all(np.isfinite(loss))
    assert loss[-1] < loss[0] / 2


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("application", "name"),
    [
        pytest.param(application, name, id=f"{application.__name__}-{name}")
        for application, names in TWO_WAYS.items()
        for name in names
    ],
)
def test_another_way_gives_the_same_numbers(application, name, backend):
    found = outcome(backend, application)
    assert distance(found[name], found[f"{name} (expected)"]) <= TOLERANCE


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_generator_comes_closer_to_the_data(backend):
    distances = outcome(backend, applications.wgan_gp)["distance"]
    assert distances[-1] < 0.75 * distances[0]
