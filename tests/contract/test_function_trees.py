"""Objects of registered classes go into and out of compiled functions; their tensors are tensors of the call."""

from __future__ import annotations

import dataclasses

import numpy as np
import optree
import pytest
from helpers.arrays import numpy
from keras import ops

import unikeras as uk
from unikeras.errors import ArgumentError

pytestmark = pytest.mark.usefixtures("backend")

TWO = np.array([1.0, 2.0], "float32")


@optree.dataclasses.dataclass(namespace="keras")
class ForKeras:
    values: object
    name: str = optree.dataclasses.field(default="none", pytree_node=False)


class ByHand:
    """Registered with the framework, if it has a registry."""

    def __init__(self, values, name="none"):
        self.values = values
        self.name = name


class ForTensorflow(ByHand):
    def __tf_flatten__(self):
        return (self.name,), (self.values,)

    @classmethod
    def __tf_unflatten__(cls, kind, children):
        return cls(children[0], kind[0])


def for_jax():
    import jax

    fields = ["values", "name"]
    made = dataclasses.make_dataclass("ForJax", [fields[0], (fields[1], str, "none")])
    return jax.tree_util.register_dataclass(made, data_fields=fields[:1], meta_fields=fields[1:])


def for_torch():
    from torch.utils import _pytree

    made = type("ForTorch", (ByHand,), {})
    _pytree.register_pytree_node(made, lambda x: ([x.values], x.name), lambda parts, name: made(*parts, name))
    return made


NATIVE = {"jax": for_jax, "torch": for_torch, "tensorflow": lambda: ForTensorflow}


@pytest.fixture(params=["keras", "framework"])
def made(request, backend):
    return ForKeras if request.param == "keras" else NATIVE[backend.name]()


def test_they_go_in_and_out(backend, made):
    @uk.function
    def double(state, x):
        assert backend.is_tensor(state.values)
        return made(state.values * x, state.name), {"nested": [made({"a": state.values, "b": (x, 1)})]}

    for values in (TWO, 10 * TWO, ops.convert_to_tensor(TWO)):
        state, rest = double(made(values, "first"), np.float32(2))
        assert type(state) is made
        assert state.name == "first"
        np.testing.assert_allclose(numpy(state.values), 2 * numpy(ops.convert_to_tensor(values)))
        inner = rest["nested"][0].values
        assert numpy(inner["b"][0]) == 2
        assert inner["b"][1] == 1
    assert double.trace_count == 1


def test_what_they_hold_besides_tensors_chooses_a_trace(made):
    scale = uk.function(lambda state: state.values * (2.0 if state.name == "twice" else 1.0))
    for name, factor in (("once", 1.0), ("twice", 2.0), ("once", 1.0)):
        np.testing.assert_allclose(numpy(scale(made(TWO, name))), factor * TWO)
    with_number = uk.function(lambda state: state.values["x"] * state.values["n"])
    for n in (1, 3):
        np.testing.assert_allclose(numpy(with_number(made({"x": TWO, "n": n}))), n * TWO)


def test_a_loop_carries_its_state_in_one(made):
    step = uk.function(lambda state: made(state.values + 1.0, state.name))
    state = made(TWO)
    for _ in range(3):
        state = step(state)
    np.testing.assert_allclose(numpy(state.values), TWO + 3)


def test_they_are_differentiated_inside(made):
    slope = uk.function(lambda state: uk.grad(lambda v: ops.sum(v * v))(state.values))
    np.testing.assert_allclose(numpy(slope(made(TWO))), 2 * TWO)


def test_shapes_of_what_they_hold_are_told_apart(made):
    total = uk.function(lambda state: ops.sum(state.values))
    for n in (1, 2, 3, 2):
        assert float(numpy(total(made(np.ones((n, 2), "float32"))))) == 2 * n


@dataclasses.dataclass
class Unknown:
    values: object


def test_a_class_that_nobody_registered_is_refused_by_name(backend):
    with pytest.raises(ArgumentError, match=r"argument 'state' of .* is a Unknown.*registered as a tree"):
        uk.function(lambda state: state.values)(Unknown(TWO))
    with pytest.raises(ArgumentError, match="returns a Unknown that holds tensors"):
        uk.function(lambda x: Unknown(x * 2))(TWO)


def test_complex_numbers_are_values(backend):
    f = uk.function(lambda x, z: (x, z))
    assert f(TWO, 1 + 2j)[1] == 1 + 2j
    f(TWO, complex(0.0, -0.0))
    f(TWO, complex(0.0, 0.0))
    assert f.trace_count == 3
