"""Weights of torch modules in Keras models: the outputs are torch's on every backend."""

from __future__ import annotations

import pytest
from helpers import torch_weights

import unikeras as uk

# tests/unit runs each pair where PyTorch is the backend.
BACKENDS = [name for name in uk.backends.available() if name != "torch"]
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.rotated("name", parts=4)
@pytest.mark.parametrize("name", torch_weights.PAIRS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_outputs_are_those_of_the_module_and_weights_come_back_equal(name, backend):
    gap, changed = uk.run_on(backend, torch_weights.exchange, name, timeout=300)
    assert gap < 1e-5
    assert changed == []
