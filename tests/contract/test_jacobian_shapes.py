"""Jacobians where an axis has length 0, and jacobians and pullbacks inside vmap."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from helpers.arrays import close, tensor
from keras import layers, ops

import unikeras as uk

pytestmark = pytest.mark.usefixtures("backend")


# Each: the source's shape, a function, and its result's shape.
EMPTY = {
    "a row of nothing": ((1, 0), lambda x: x**2, (1, 0)),
    "no rows": ((0, 3), lambda x: x**2, (0, 3)),
    "an empty result": ((2, 3), lambda x: x[0][:0] ** 2, (0,)),
    "an empty source": ((2, 0), lambda x: ops.sum(x) * ops.ones((3,)), (3,)),
    "a scalar of nothing": ((0,), lambda x: ops.sum(x**2), ()),
}


@pytest.mark.parametrize("name", EMPTY)
def test_jacobians_of_nothing_have_a_shape(name):
    source, f, result = EMPTY[name]
    x = tensor(np.zeros(source))
    with uk.GradientTape() as tape:
        tape.watch(x)
        y = f(x)
    assert tuple(tape.jacobian(y, x).shape) == result + source
    for mode in ("reverse", "forward"):
        jacobian = uk.jacobian(f, mode=mode)
        assert tuple(jacobian(x).shape) == result + source
        assert tuple(uk.function(jacobian)(x).shape) == result + source
        assert tuple(uk.vmap(jacobian)(x[None]).shape) == (1, *result, *source)
    assert tuple(uk.hessian(f)(x).shape) == result + source + source


@pytest.mark.parametrize("shape", [(1, 0), (0, 3), (0, 0), (2, 3, 0)])
def test_batch_jacobians_of_nothing_have_a_shape(shape):
    x = tensor(np.zeros(shape))
    with uk.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x**2
        other = ops.ones(shape)
    assert tuple(tape.batch_jacobian(y, x).shape) == shape + shape[1:]
    assert tape.batch_jacobian(other, x) is None
    assert tape.jacobian(other, x) is None
    assert tuple(tape.jacobian(other, x, unconnected_gradients="zero").shape) == shape + shape


def test_empty_and_other_arguments_together():
    empty, x = tensor(np.zeros((0,))), tensor([1.0, 2.0])
    for mode in ("reverse", "forward"):
        found = uk.jacobian(lambda a, b: {"y": b**2, "z": a * 2.0}, argnums=(0, 1), mode=mode)(empty, x)
        close(found["y"][1], np.diag([2.0, 4.0]))
        assert [tuple(leaf.shape) for leaf in (*found["y"], *found["z"])] == [(2, 0), (2, 2), (0, 0), (0, 2)]


A = np.array([[1.0, 2.0], [3.0, 4.0]])


def test_forward_jacobians_inside_vmap():
    forward = uk.jacobian(lambda x: x**2, mode="forward")
    close(uk.vmap(forward)(tensor(A)), [np.diag(2 * row) for row in A])
    twice = uk.jacobian(uk.jacobian(lambda x: ops.sum(x**3), mode="forward"), mode="forward")
    close(uk.vmap(twice)(tensor(A)), [np.diag(6 * row) for row in A])
    dense = layers.Dense(2, use_bias=False)
    dense.build((None, 2))
    found = uk.vmap(uk.jacobian(lambda x: dense(x[None])[0], mode="forward"))(tensor(A))
    close(found, [ops.convert_to_numpy(dense.kernel).T] * 2)


def test_a_pullback_is_a_function_like_any_other():
    v = keras.Variable([2.0, 3.0])
    with uk.GradientTape() as tape:
        _, pullback = uk.vjp(lambda x: x**2 * v, tensor(A[0]))
        rows = uk.vmap(lambda w: pullback(w)[0])(tensor(np.eye(2)))
        loss = ops.sum(rows)
    close(rows, np.diag(2 * A[0] * [2.0, 3.0]))
    close(tape.gradient(loss, v), 2 * A[0])
    close(
        uk.vmap(uk.vmap(lambda w: pullback(w)[0]))(tensor(np.eye(2)[None])), [np.diag(2 * A[0] * [2.0, 3.0])]
    )
    tangent = uk.jvp(lambda w: pullback(w)[0], (tensor(A[0]),), (tensor(A[1]),))[1]
    close(tangent, 2 * A[0] * [2.0, 3.0] * A[1])
