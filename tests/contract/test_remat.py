"""uk.remat: the same values and gradients, and the state of the first run in the second.

Truth is calculus: f(a) = a**3 * c * v at a=2, c=5, v=3.
"""

from __future__ import annotations

import keras
import numpy as np
import pytest
from helpers.arrays import tensor
from keras import layers, ops

import unikeras as uk

pytestmark = pytest.mark.usefixtures("backend")


def numpy(value):
    return np.asarray(ops.convert_to_numpy(ops.stop_gradient(value)))


def close(found, expected):
    np.testing.assert_allclose(numpy(found), expected, rtol=1e-4, atol=1e-5)


@pytest.fixture(params=["eager", "function"])
def run(request):
    """Run a function as Python, or compiled."""
    return {"eager": lambda f: f, "function": uk.function}[request.param]


@pytest.fixture
def v():
    return keras.Variable(3.0)


@pytest.fixture
def f(v):
    c = tensor(5.0)
    return uk.remat(lambda a: a**3 * c * v)


TRANSFORMS = {
    "the value": (lambda f, x: f(x), 120.0),
    "grad": (lambda f, x: uk.grad(f)(x), 180.0),
    "grad of grad": (lambda f, x: uk.grad(uk.grad(f))(x), 180.0),
    "grad of grad of grad": (lambda f, x: uk.grad(uk.grad(uk.grad(f)))(x), 90.0),
    "jvp": (lambda f, x: uk.jvp(f, (x,), (ops.ones(()),))[1], 180.0),
    "hvp": (lambda f, x: uk.hvp(f, x, ops.ones(())), 180.0),
    "hessian": (lambda f, x: uk.hessian(f)(x), 180.0),
    "forward jacobian": (lambda f, x: uk.jacobian(f, mode="forward")(x), 180.0),
    "vmap": (lambda f, x: uk.vmap(f)(x[None])[0], 120.0),
    "vmap of grad": (lambda f, x: uk.vmap(uk.grad(f))(x[None])[0], 180.0),
    "grad of vmap": (lambda f, x: uk.grad(lambda x: uk.vmap(f)(x[None])[0])(x), 180.0),
    "remat of remat": (lambda f, x: uk.grad(uk.remat(lambda a: f(a) * a))(x), 480.0),
    "remat of grad": (lambda f, x: uk.grad(uk.remat(uk.grad(f)))(x), 180.0),
    "remat of remat, twice": (lambda f, x: uk.grad(uk.grad(uk.remat(lambda a: f(a) * a)))(x), 720.0),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_the_transforms(name, run, f):
    transform, expected = TRANSFORMS[name]
    close(run(lambda x: transform(f, x))(tensor(2.0)), expected)


@pytest.mark.parametrize("name", ["grad", "hvp", "jvp", "vmap of grad"])
def test_the_transforms_of_a_compiled_function(name, f):
    transform, expected = TRANSFORMS[name]
    close(transform(uk.function(f), tensor(2.0)), expected)


def test_whatever_it_uses_has_a_gradient(run, v):
    def gradients(x, closed, keyword):
        with uk.GradientTape(persistent=True) as tape:
            tape.watch([x, closed, keyword])
            y = uk.remat(lambda a, *, k, n: a**n * closed * k["of"][0] * v**2)(
                x, k={"of": [keyword, None]}, n=3
            )
        first, again = (tape.gradient(y, [x, closed, keyword, v]) for _ in range(2))
        return [*first, *again]

    found = run(gradients)(tensor(2.0), tensor(5.0), tensor(7.0))
    for gradient, expected in zip(found, [3780.0, 504.0, 360.0, 1680.0] * 2, strict=True):
        close(gradient, expected)


def test_a_closed_over_tensor_of_an_eager_tape(v):
    c, x = tensor(5.0), tensor(2.0)
    with uk.GradientTape() as tape:
        tape.watch(c)
        scaled = c * 2.0
        y = uk.remat(lambda a: a * scaled * v)(x)
    found = tape.gradient(y, [c, v])
    close(found[0], 12.0)
    close(found[1], 20.0)
    assert tape.watched_variables() == (v,)


def test_structures_and_what_is_no_tensor_come_back():
    def f(p, n):
        return {"a": p["x"] * n, "none": None, "name": "s", "pair": (p["x"] ** 2, 7)}

    def total(x):
        result = uk.remat(f)({"x": x, "other": None}, 2)
        assert result["none"] is None
        assert (result["name"], result["pair"][1]) == ("s", 7)
        return result["a"] + result["pair"][0]

    close(uk.grad(total)(tensor(3.0)), 8.0)
    assert uk.remat(lambda x: None)(tensor(1.0)) is None


def test_integers_and_variables_as_arguments(run, v):
    table = keras.Variable([1.0, 2.0, 3.0])

    def gradients(index):
        return uk.grad(
            lambda: ops.sum(uk.remat(lambda t, i, a: ops.take(t, i) * a)(table, index, v)),
            variables=[table, v],
        )()

    found = run(gradients)(ops.convert_to_tensor([1, 1, 2]))
    close(found[0], [0.0, 6.0, 3.0])
    close(found[1], 7.0)


def test_dropout_draws_one_mask_for_both_runs(run):
    dropout, w = layers.Dropout(0.5, seed=1), keras.Variable(np.ones(64, "float32"))
    dropout.build((64,))

    def step():
        with uk.GradientTape(persistent=True) as tape:
            y = uk.remat(lambda a: dropout(a, training=True))(w * 1.0)
            s = ops.sum(y)
        return y, tape.gradient(s, w), tape.gradient(s, w)

    step = run(step)
    seed, masks = numpy(dropout.seed_generator.state.value), []
    for number in range(1, 4):
        y, first, second = map(numpy, step())
        np.testing.assert_array_equal(first, y)
        np.testing.assert_array_equal(second, y)
        np.testing.assert_array_equal(numpy(dropout.seed_generator.state.value) - seed, [0, number])
        masks.append(y)
    assert (masks[0] != masks[1]).any()


def test_statistics_are_updated_once(run):
    normalization, w = (
        layers.BatchNormalization(momentum=0.5, epsilon=0.0),
        keras.Variable(np.ones((1, 1), "float32")),
    )
    normalization.build((None, 1))

    def step(x):
        with uk.GradientTape() as tape:
            y = uk.remat(lambda a: normalization(a, training=True))(ops.matmul(x, w))
            loss = ops.sum(y * x)
        return tape.gradient(loss, [w, normalization.gamma])

    found = run(step)(tensor([[1.0], [3.0]]))
    close(found[0], [[0.0]])
    close(found[1], [2.0])
    close(normalization.moving_mean, [1.0])


def test_the_second_run_reads_what_the_first_one_read(run, v):
    u = keras.Variable(2.0)

    def after():
        with uk.GradientTape() as tape:
            y = uk.remat(lambda a: a * u * u)(v * 1.0)
            u.assign(100.0)
            z = y + u
        return tape.gradient(z, [v, u])

    found = run(after)()
    close(found[0], 4.0)
    close(found[1], 13.0)
    close(u, 100.0)
    u.assign(2.0)

    def inside():
        def f(a):
            b = a * u
            u.assign(u * 10.0)
            return b * u

        with uk.GradientTape() as tape:
            y = uk.remat(f)(v * 1.0)
        return y, tape.gradient(y, v)

    y, gradient = run(inside)()
    close(y, 120.0)
    close(gradient, 40.0)
    close(u, 20.0)


def test_a_layer_that_the_first_run_builds(run):
    made = []

    def f(x):
        if not made:
            made.append(layers.Dense(1, kernel_initializer="ones"))
        return made[0](x)

    def step(x):
        with uk.GradientTape() as tape:
            y = ops.sum(uk.remat(f)(x))
        return y, tape.gradient(y, made[0].kernel)

    y, gradient = run(step)(tensor([[1.0, 2.0]]))
    close(y, 3.0)
    close(gradient, [[1.0], [2.0]])


def test_losses_are_added_once(run):
    layer = layers.Dense(1, use_bias=False, kernel_initializer="ones", activity_regularizer="l2")
    layer.build((None, 2))
    block = keras.Sequential([keras.Input((2,)), layer])

    def step(x):
        with uk.GradientTape() as tape:
            y = uk.remat(layer)(x)
            (loss,) = block.losses
            total = ops.sum(y) + loss
        return loss, tape.gradient(total, layer.kernel)

    loss, gradient = run(step)(tensor([[1.0, 2.0]]))
    close(loss, 0.09)  # l2 of 0.01, of 3
    close(gradient, [[1.06], [2.12]])


@pytest.mark.parametrize("make", [uk.Model, keras.Model])
def test_a_layer_with_remat_in_it_trains(make):
    class Block(layers.Layer):
        def __init__(self):
            super().__init__()
            self.inner = [layers.Dense(4), layers.BatchNormalization(), layers.Dropout(0.5, seed=1)]

        def build(self, shape):
            for layer in self.inner:
                layer.build((None, 4) if layer is not self.inner[0] else shape)

        def call(self, x, training=False):
            def f(x):
                dense, normalization, dropout = self.inner
                return dropout(normalization(dense(x), training=training), training=training)

            return uk.remat(f)(x)

    inputs, block = keras.Input((3,)), Block()
    model = make(inputs, layers.Dense(1)(block(inputs)))
    model.compile("sgd", "mse")
    before = numpy(block.inner[0].kernel.value).copy()
    x = np.ones((8, 3), "float32") * np.arange(8, dtype="float32")[:, None]
    model.fit(x, x[:, :1], batch_size=4, epochs=2, verbose=0)
    assert numpy(block.inner[2].seed_generator.state.value)[1] == 4
    assert (numpy(block.inner[0].kernel.value) != before).any()
    assert model.predict(x, verbose=0).shape == (8, 1)


def test_recurrent_layers(run):
    model = keras.Sequential([keras.Input((3, 2)), layers.LSTM(2), layers.Dense(1)])
    x = tensor(np.arange(12).reshape(2, 3, 2) / 5)

    def gradients(f):
        def step(x):
            with uk.GradientTape() as tape:
                loss = ops.sum(f(x) ** 2)
            return tape.gradient(loss, model.trainable_variables)

        return step

    expected = uk.function(gradients(model))(x)
    for found, wanted in zip(run(gradients(uk.remat(model)))(x), expected, strict=True):
        close(found, numpy(wanted))


def test_under_no_grad_it_is_a_constant(run):
    def f(x):
        with uk.no_grad():
            y = uk.remat(lambda a: a * a)(x)
        return y * x

    close(run(uk.grad(f))(tensor(2.0)), 4.0)
