"""TensorFlow is the judge: the same program on its tape and on ours, on every installed backend."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers.tape_programs import PROGRAMS, run

import unikeras as uk

INSTALLED = uk.backends.available()

pytestmark = pytest.mark.skipif(
    "tensorflow" not in INSTALLED, reason="TensorFlow is the judge, and it is not installed"
)


@pytest.fixture(scope="module")
def answers():
    """The answers of all tapes; each backend works in a process of its own, all at once."""
    with ThreadPoolExecutor() as pool:
        judged = pool.submit(uk.run_on, "tensorflow", run, True)
        ours = {backend: pool.submit(uk.run_on, backend, run, False) for backend in INSTALLED}
        return judged.result(), {backend: answer.result() for backend, answer in ours.items()}


def assert_equal(actual, expected):
    assert type(actual) is type(expected)
    if isinstance(expected, dict):
        assert set(actual) == set(expected)
        actual, expected = [actual[key] for key in expected], list(expected.values())
    if isinstance(expected, list | tuple):
        assert len(actual) == len(expected)
        for one, other in zip(actual, expected, strict=True):
            assert_equal(one, other)
    elif isinstance(expected, np.ndarray):
        assert actual.shape == expected.shape
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=2e-6)
    else:
        assert actual == expected


@pytest.mark.parametrize("backend", INSTALLED)
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_answer_is_tensorflows(name, backend, answers):
    judged, ours = answers
    expected, failure = judged[name]
    assert failure is None, failure
    actual, failure = ours[backend][name]
    assert failure is None, failure
    assert_equal(actual, expected)


def test_there_are_enough_programs():
    assert len(PROGRAMS) >= 40
