"""What `uk.no_grad()` and `stop_recording()` stop: the recorders around them, and not those that start inside."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from helpers.arrays import tensor
from keras import ops

import unikeras as uk

pytestmark = pytest.mark.usefixtures("backend")


def close(found, expected):
    np.testing.assert_allclose(ops.convert_to_numpy(ops.stop_gradient(found)), expected, rtol=1e-5)


def square(x):
    return x * x


TRANSFORMS = {
    "grad": (lambda x: uk.grad(square)(x), 6.0),
    "value_and_grad": (lambda x: uk.value_and_grad(square)(x)[1], 6.0),
    "vjp": (lambda x: uk.vjp(square, x)[1](ops.ones(()))[0], 6.0),
    "jvp": (lambda x: uk.jvp(square, (x,), (ops.ones(()),))[1], 6.0),
    "forward jacobian": (lambda x: uk.jacobian(square, mode="forward")(x), 6.0),
    "reverse jacobian": (lambda x: uk.jacobian(square)(x), 6.0),
    "hessian": (lambda x: uk.hessian(square)(x), 2.0),
    "hvp": (lambda x: uk.hvp(square, x, ops.ones(())), 2.0),
    "vmap of grad": (lambda x: uk.vmap(uk.grad(square))(x[None])[0], 6.0),
    "function of grad": (lambda x: uk.function(uk.grad(square))(x), 6.0),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_transform_inside_differentiates(name):
    transform, expected = TRANSFORMS[name]
    x = tensor(3.0)
    with uk.no_grad():
        close(transform(x), expected)
        with uk.no_grad():
            close(transform(x), expected)
    with uk.GradientTape() as tape:
        tape.watch(x)
        with tape.stop_recording():
            found = transform(x)
        y = found * x
    close(found, expected)
    close(tape.gradient(y, x), expected)


def test_gradients_of_variables_inside():
    v = keras.Variable(2.0)
    with uk.no_grad():
        close(uk.grad(lambda: v * v, variables=[v])()[0], 4.0)
        with uk.GradientTape() as outer:
            with uk.GradientTape() as inner:
                y = v * v * v
            dy = inner.gradient(y, v)
    close(dy, 12.0)
    close(outer.gradient(dy, v), 12.0)


def test_a_tape_inside_stops_where_it_is_told():
    v = keras.Variable(2.0)
    with uk.no_grad(), uk.GradientTape() as tape:
        y = v * v
        with uk.no_grad():
            z = v * 5.0
        w = y + z
    close(tape.gradient(w, v), 4.0)


@pytest.mark.parametrize("stop", [lambda tape: uk.no_grad(), lambda tape: tape.stop_recording()])
def test_a_tape_outside_sees_nothing_of_what_one_inside_records(stop):
    x, v = tensor(3.0), keras.Variable(3.0)
    with uk.GradientTape() as outer:
        outer.watch(x)
        with stop(outer):
            with uk.GradientTape() as inner:
                inner.watch(x)
                y = x * x + v * v
            dx, dv = inner.gradient(y, [x, v])
        z = x * dx + v * dv + y
    close(dx, 6.0)
    close(dv, 6.0)
    for found in outer.gradient(z, [x, v]):
        close(found, 6.0)


@pytest.mark.parametrize("stop", [lambda tape: uk.no_grad(), lambda tape: tape.stop_recording()])
def test_a_tape_that_answers_while_stopped_leaves_nothing_behind(stop):
    x = tensor(3.0)
    with uk.GradientTape() as tape:
        tape.watch(x)
        y = x * x
        with stop(tape):
            close(tape.gradient(y, x), 6.0)
    for _ in range(2):
        with uk.GradientTape() as tape:
            tape.watch(x)
            y = x * x
        close(tape.gradient(y, x), 6.0)


def test_recording_goes_on_after_an_exception_inside():
    x = tensor(3.0)

    def fail():
        with uk.no_grad(), uk.GradientTape() as inner:
            inner.watch(x)
            raise KeyError("here")

    with uk.GradientTape() as tape:
        tape.watch(x)
        with pytest.raises(KeyError, match="here"):
            fail()
        y = x * x
    close(tape.gradient(y, x), 6.0)


def unrecorded(x):
    with uk.no_grad():
        return x * x


def differentiated_inside(x):
    with uk.no_grad():
        return uk.grad(square)(x)


@pytest.mark.parametrize("inside", [unrecorded, differentiated_inside])
def test_a_transform_outside_sees_a_constant(inside):
    x, one = tensor(3.0), ops.ones(())

    def f(x):
        return x * inside(x)

    value = float(ops.convert_to_numpy(ops.stop_gradient(inside(x))))
    close(uk.grad(f)(x), value)
    close(uk.vmap(uk.grad(f))(x[None]), [value])
    close(uk.function(uk.grad(f))(x), value)
    close(uk.grad(uk.function(f))(x), value)
    close(uk.grad(lambda x: uk.vmap(f)(x[None])[0])(x), value)
    close(uk.jvp(f, (x,), (one,))[1], value)
    close(uk.jvp(uk.function(f), (x,), (one,))[1], value)
    close(uk.hessian(f)(x), 0.0)
    close(uk.hvp(f, x, one), 0.0)


def test_layers_and_loops_inside():
    layer, recurrent = keras.layers.Dense(2, use_bias=False), keras.layers.LSTM(2)
    x, sequence = tensor(np.ones((1, 2))), tensor(np.ones((1, 3, 2)))
    layer.build((None, 2))
    recurrent.build((None, 3, 2))

    def loss(x):
        with uk.no_grad():
            constant = ops.sum(layer(x)) + ops.sum(recurrent(sequence * ops.sum(x)))
        return ops.sum(layer(x)) * ops.stop_gradient(constant), constant

    for run in (loss, uk.function(loss)):
        with uk.GradientTape() as tape:
            value, constant = run(x)
        found = tape.gradient(value, [layer.kernel, *recurrent.trainable_variables])
        close(found[0], np.ones((2, 2)) * float(constant))
        assert all(rest is None or not np.any(ops.convert_to_numpy(rest)) for rest in found[1:])
