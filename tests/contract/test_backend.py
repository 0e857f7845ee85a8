"""The laws of a backend that are not about gradients or compiling."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import unikeras as uk
from unikeras.backends._base import Backend


def test_it_is_the_current_backend(backend):
    assert uk.backend() == backend.name
    assert uk.backends.current() is backend


def test_version_is_the_installed_one(backend):
    assert backend.version().partition("+")[0] == _installed(backend.name).partition("+")[0]


def _installed(name):
    from unikeras.backends import _registry

    return _registry.ENTRIES[name].version


def test_there_is_a_cpu(backend):
    assert any(device.startswith("cpu:") for device in backend.devices())


def test_tensors_are_told_from_everything_else(backend):
    tensor = keras.ops.ones((2,))
    assert backend.is_tensor(tensor)
    for other in (keras.Variable(1.0), np.ones(2), 1.0, [tensor], None, "tensor"):
        assert not backend.is_tensor(other)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int32", "bool", "uint8"])
def test_values_survive_the_way_to_numpy(backend, dtype):
    tensor = keras.ops.convert_to_tensor(np.array([0, 1, 3]), dtype=dtype)
    array = backend.to_numpy(tensor)
    assert isinstance(array, np.ndarray)
    assert array.astype("float64").tolist() == [0.0, 1.0, 1.0 if dtype == "bool" else 3.0]
    assert array.dtype.name == dtype


def test_to_numpy_takes_tensors_that_carry_a_gradient(backend):
    variable = keras.Variable([1.0, 2.0])
    assert backend.to_numpy(variable * 2.0).tolist() == [2.0, 4.0]


def test_synchronize_waits_for_any_number_of_tensors(backend):
    backend.synchronize()
    product = keras.ops.ones((1500, 1500))
    for _ in range(4):
        product = keras.ops.matmul(product, product) / 1500.0
    backend.synchronize(keras.ops.ones(()), product)
    # Where computing goes on behind a call, tensors say whether they are ready.
    assert getattr(product, "is_ready", lambda: True)()


def test_a_backend_that_forgets_a_method_cannot_be_made():
    class Forgetful(Backend):
        name = "forgetful"

        def version(self):
            return "0"

    with pytest.raises(TypeError, match="abstract"):
        Forgetful()
