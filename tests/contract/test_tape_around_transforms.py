"""A tape around the transforms: what they read and compute, it records, in whatever order and nesting.

The function is f(x) = sum(w * x**3), so that every derivative by x, and what a loss of it gives for w, is known.
"""

from __future__ import annotations

import contextlib

import keras
import numpy as np
import pytest
from helpers.arrays import tensor
from keras import layers, ops

import unikeras as uk

pytestmark = pytest.mark.usefixtures("backend")

X, W, V = np.array([0.5, -1.0, 2.0]), np.array([1.0, 2.0, -0.5]), np.array([1.0, 0.5, -1.0])


def close(found, expected):
    np.testing.assert_allclose(ops.convert_to_numpy(found), expected, rtol=1e-4, atol=1e-5)


@pytest.fixture
def w():
    return keras.Variable(W.astype("float32"))


@pytest.fixture
def f(w):
    return lambda x: ops.sum(w * x**3)


# Each: a value computed by a transform of f at X, and d(sum of its squares)/dw.
FIRST = 2 * (3 * W * X**2) * 3 * X**2
SECOND = 2 * (6 * W * X) * 6 * X
ALONG = 2 * np.sum(3 * W * X**2 * V) * 3 * X**2 * V
HVP = 2 * (6 * W * X * V) * 6 * X * V
TRANSFORMS = {
    "grad": (lambda f, x, v: uk.grad(f)(x), FIRST),
    "value_and_grad": (lambda f, x, v: uk.value_and_grad(f)(x)[1], FIRST),
    "vjp": (lambda f, x, v: uk.vjp(f, x)[1](ops.ones(()))[0], FIRST),
    "jvp": (lambda f, x, v: uk.jvp(f, (x,), (v,))[1], ALONG),
    "jacobian, forward": (lambda f, x, v: uk.jacobian(f, mode="forward")(x), FIRST),
    "jacobian, reverse": (lambda f, x, v: uk.jacobian(f, mode="reverse")(x), FIRST),
    "hessian": (lambda f, x, v: uk.hessian(f)(x), SECOND),
    "hvp": (lambda f, x, v: uk.hvp(f, x, v), HVP),
    "vmap of f": (lambda f, x, v: uk.vmap(f)(x[None]), 2 * np.sum(W * X**3) * X**3),
    "vmap of grad": (lambda f, x, v: uk.vmap(uk.grad(f))(x[None]), FIRST),
    "vmap of value_and_grad": (lambda f, x, v: uk.vmap(uk.value_and_grad(f))(x[None])[1], FIRST),
    "vmap of jvp": (
        lambda f, x, v: uk.vmap(lambda a, b: uk.jvp(f, (a,), (b,))[1])(x[None], v[None]),
        ALONG,
    ),
    "vmap of hvp": (lambda f, x, v: uk.vmap(lambda a, b: uk.hvp(f, a, b))(x[None], v[None]), HVP),
    "vmap of hessian": (lambda f, x, v: uk.vmap(uk.hessian(f))(x[None]), SECOND),
    "grad of grad": (lambda f, x, v: uk.grad(lambda a: ops.sum(uk.grad(f)(a)))(x), SECOND),
    "jvp of grad": (lambda f, x, v: uk.jvp(uk.grad(f), (x,), (v,))[1], HVP),
    "vmap of vmap": (lambda f, x, v: uk.vmap(uk.vmap(uk.grad(f)))(x[None, None]), FIRST),
}


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("persistent", [False, True])
def test_a_variable_read_inside_a_transform_has_its_gradient(name, persistent, w, f):
    transformed, expected = TRANSFORMS[name]
    with uk.GradientTape(persistent=persistent) as tape:
        loss = ops.sum(transformed(f, tensor(X), tensor(V)) ** 2)
    assert tape.watched_variables() == (w,)
    for _ in range(1 + persistent):
        close(tape.gradient(loss, w), expected)


@pytest.mark.parametrize("name", ["vmap of grad", "hvp", "jacobian, forward", "jvp"])
def test_a_variable_that_is_watched_by_name(name, w, f):
    transformed, expected = TRANSFORMS[name]
    with uk.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(w)
        loss = ops.sum(transformed(f, tensor(X), tensor(V)) ** 2)
    close(tape.gradient(loss, w), expected)
    with uk.GradientTape(watch_accessed_variables=False) as tape:
        loss = ops.sum(transformed(f, tensor(X), tensor(V)) ** 2)
    with pytest.warns(UserWarning, match="None"):
        assert tape.gradient(loss, w) is None


@pytest.mark.parametrize("name", ["vmap of grad", "hvp", "jacobian, forward", "jvp", "vmap of f"])
def test_tapes_around_one_another_see_the_same(name, w, f):
    transformed, expected = TRANSFORMS[name]
    with uk.GradientTape() as outer:
        with uk.GradientTape() as inner:
            loss = ops.sum(transformed(f, tensor(X), tensor(V)) ** 2)
        first = inner.gradient(loss, w)
        again = ops.sum(first**2)
    close(first, expected)
    # The loss is of second degree in w, so its gradient is linear: d(sum g**2)/dw = 2 g dg/dw, with g summed over w.
    step = 1e-2
    plain = []
    for sign in (1, -1):
        total = []
        for i in range(3):
            moved = W.copy()
            moved[i] += sign * step
            w.assign(moved.astype("float32"))
            with uk.GradientTape() as tape:
                loss = ops.sum(transformed(f, tensor(X), tensor(V)) ** 2)
            total.append(np.sum(ops.convert_to_numpy(tape.gradient(loss, w)).astype("float64") ** 2))
        plain.append(np.array(total))
    w.assign(W.astype("float32"))
    np.testing.assert_allclose(
        ops.convert_to_numpy(outer.gradient(again, w)), (plain[0] - plain[1]) / (2 * step), rtol=1e-2
    )


@pytest.mark.parametrize("order", [("slope", "data"), ("data", "slope")])
@pytest.mark.parametrize("name", ["vmap of grad", "hvp", "jacobian, forward", "jvp"])
def test_the_order_of_a_loss_does_not_matter(name, order, w, f):
    transformed, expected = TRANSFORMS[name]
    parts = {
        "slope": lambda: ops.sum(transformed(f, tensor(X), tensor(V)) ** 2),
        "data": lambda: f(tensor(X)),
    }
    with uk.GradientTape() as tape:
        loss = sum(parts[part]() for part in order)
    close(tape.gradient(loss, w), expected + X**3)


@pytest.mark.parametrize("name", ["vmap of grad", "hvp", "jacobian, forward", "jvp"])
def test_gradients_of_variables_by_a_transform(name, w, f):
    transformed, expected = TRANSFORMS[name]
    _loss, (gradient,) = uk.value_and_grad(
        lambda: ops.sum(transformed(f, tensor(X), tensor(V)) ** 2), variables=[w]
    )()
    close(gradient, expected)


@pytest.mark.parametrize("name", ["vmap of grad", "hvp", "jacobian, forward"])
def test_inside_a_function(name, w, f):
    transformed, expected = TRANSFORMS[name]

    @uk.function
    def step(x, v):
        with uk.GradientTape() as tape:
            loss = ops.sum(transformed(f, x, v) ** 2)
        return tape.gradient(loss, w)

    for _ in range(2):
        close(step(tensor(X), tensor(V)), expected)


def test_gradients_of_variables_inside_vmap(w):
    def gradient(x):
        return uk.grad(lambda: ops.sum(w**2 * x), variables=[w])()[0]

    with uk.GradientTape() as tape:
        loss = ops.sum(uk.vmap(gradient)(tensor([X, 2 * X])))
    close(tape.gradient(loss, w), 6 * X)


def test_a_jacobian_of_what_a_transform_computed(w, f):
    with uk.GradientTape() as tape:
        slope = uk.vmap(uk.grad(f))(tensor([X]))[0]
    close(tape.jacobian(slope, w), np.diag(3 * X**2))


def test_a_watched_tensor_and_a_variable(w):
    a = tensor(2.0)
    with uk.GradientTape() as tape:
        tape.watch(a)
        slope = uk.vmap(uk.grad(lambda x: ops.sum(w * a * x**2)))(tensor([X]))
        loss = ops.sum(slope)
    found = tape.gradient(loss, [w, a])
    close(found[0], 4 * X)
    close(found[1], np.sum(2 * W * X))


def test_layers_under_a_penalty_on_the_slope():
    # f(x) = v . tanh(K x); grad_x = K^T (v * (1 - tanh^2)).
    dense = layers.Dense(3, "tanh", use_bias=False)
    out = layers.Dense(1, use_bias=False)
    model = keras.Sequential([keras.Input((2,)), dense, out])
    model.set_weights([np.full((2, 3), 0.3), np.full((3, 1), 0.2)])
    x = np.linspace(-1, 1, 8).reshape(4, 2)

    with uk.GradientTape() as tape:
        slope = uk.vmap(uk.grad(lambda p: model(p[None])[0, 0]))(tensor(x))
        loss = ops.mean(slope**2)
    found = tape.gradient(loss, model.trainable_variables)

    def numeric(index, position, step=1e-4):
        values = []
        for sign in (1, -1):
            kernel, head = np.full((2, 3), 0.3), np.full((3, 1), 0.2)
            (kernel, head)[index][position] += sign * step
            hidden = np.tanh(x @ kernel)
            values.append(np.mean((((1 - hidden**2) * head[:, 0]) @ kernel.T) ** 2))
        return (values[0] - values[1]) / (2 * step)

    close(found[0][1, 2], numeric(0, (1, 2)))
    close(found[1][2, 0], numeric(1, (2, 0)))


def test_an_assignment_under_a_transform_keeps_what_was_read(w, f):
    with uk.GradientTape() as tape:
        slope = uk.vmap(uk.grad(f))(tensor([X]))
        w.assign(w * 10.0)
        loss = ops.sum(slope**2)
    close(tape.gradient(loss, w), FIRST)


@pytest.mark.parametrize("name", ["vmap of grad", "hvp", "jvp"])
def test_a_variable_that_is_not_trainable_is_left_alone(name, f):
    frozen = keras.Variable(np.ones(3, "float32"), trainable=False)
    transformed, _ = TRANSFORMS[name]
    with uk.GradientTape() as tape:
        loss = ops.sum(transformed(lambda x: f(x) + ops.sum(frozen * x**3), tensor(X), tensor(V)) ** 2)
        frozen.assign(frozen * 2.0)
    assert all(variable is not frozen for variable in tape.watched_variables())
    with pytest.warns(UserWarning, match="None"):
        assert tape.gradient(loss, frozen) is None


@pytest.mark.parametrize("stopped", [False, True])
def test_recording_stops_for_one_tape_around_a_transform(stopped, w, f):
    with uk.GradientTape() as outer, uk.GradientTape() as inner:
        before = f(tensor(X))
        with inner.stop_recording() if stopped else contextlib.nullcontext():
            slope = uk.vmap(uk.grad(f))(tensor([X]))
        loss = before + ops.sum(slope**2)
    close(inner.gradient(loss, w), X**3 + (0 if stopped else FIRST))
    close(outer.gradient(loss, w), X**3 + FIRST)
