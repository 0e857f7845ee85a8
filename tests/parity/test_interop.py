"""Weights of torch modules in Keras models: the outputs are torch's on every backend."""

from __future__ import annotations

import functools

import pytest
from helpers import torch_weights

import unikeras as uk

BACKENDS = uk.backends.available()
pytestmark = pytest.mark.usefixtures("one_thread")


@functools.cache
def exchanged(backend):
    return uk.run_on(backend, torch_weights.exchange_all, timeout=300)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", torch_weights.PAIRS)
def test_outputs_are_those_of_the_module_and_weights_come_back_equal(name, backend):
    gap, changed = exchanged(backend)[name]
    assert gap < 1e-5
    assert changed == []
