"""Each rule of `interop/operators` computes what torch's operator does, on every backend: values, dtypes, gradients."""

from __future__ import annotations

import functools

import pytest
from helpers import operator_cases, operator_runs

import unikeras as uk
from unikeras import workers

FAMILIES = operator_cases.families()


@pytest.fixture(scope="module", autouse=True)
def _in_float64():
    """Workers that compute on one thread, JAX among them in 64 bits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("JAX_ENABLE_X64", "1")
        workers.shutdown()
        yield
    workers.shutdown()


@functools.cache
def _answers(family: str) -> dict[str, operator_runs.Answer]:
    return uk.run_on("torch", operator_runs.torch_answers, family, timeout=300)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("backend", uk.backends.available())
def test_rules_compute_what_torch_does(backend, family):
    assert uk.run_on(backend, operator_runs.gaps, family, _answers(family), timeout=500) == {}
