"""Keras models of other backends as torch modules: outputs, gradients of training, and weights back."""

from __future__ import annotations

import pytest
from helpers import networks

import unikeras as uk

# tests/lowering has each network where PyTorch is the backend.
BACKENDS = [name for name in uk.backends.available() if name != "torch"]
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.rotated("name", parts=4)
@pytest.mark.parametrize("name", networks.NETWORKS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_module_is_equal_to_the_model_of_any_backend(name, backend):
    gap, apart, changed = uk.run_on(backend, networks.gaps_of, name, timeout=300)
    assert gap < 1e-5
    assert apart < 3e-5
    assert changed == []
