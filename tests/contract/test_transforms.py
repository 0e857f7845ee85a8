"""The contract of the transforms, with JAX's conventions; truth is numpy and calculus."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from helpers.arrays import close, tensor
from keras import layers, ops

import unikeras as uk
from unikeras.errors import ArgumentError, ArgumentValueError, TapeError, TransformError

pytestmark = pytest.mark.usefixtures("backend")


X = np.array([1.0, 2.0])


def test_argnums_choose_and_keep_their_structure():
    def f(a, b, *, scale):
        return ops.sum(a["x"] * b[0] ** 2) * scale

    a, b = {"x": tensor(X)}, [tensor(X + 1)]
    gradient = uk.grad(f)(a, b, scale=2.0)
    assert set(gradient) == {"x"}
    close(gradient["x"], 2 * (X + 1) ** 2)
    both = uk.grad(f, argnums=(1, 0))(a, b, scale=1.0)
    assert isinstance(both, tuple)
    close(both[0][0], 2 * X * (X + 1))
    close(both[1]["x"], (X + 1) ** 2)
    close(uk.grad(f, argnums=-1)(a, b, scale=1.0)[0], 2 * X * (X + 1))


def test_an_unused_argument_has_zeros_and_an_unused_variable_none():
    close(uk.grad(lambda a, b: ops.sum(a), argnums=1)(tensor(X), tensor(X)), [0.0, 0.0])
    used, unused = keras.Variable(3.0), keras.Variable(1.0)
    value, gradients = uk.value_and_grad(lambda: used * used, variables=[used, unused])()
    close(value, 9.0)
    close(gradients[0], 6.0)
    assert gradients[1] is None


def test_one_tensor_as_two_arguments():
    x = tensor(X)
    first, second = uk.grad(lambda a, b: ops.sum(a * b**2), argnums=(0, 1))(x, x)
    close(first, X**2)
    close(second, 2 * X * X)


def test_numpy_and_numbers_are_arguments_too():
    close(uk.grad(lambda x, y: ops.sum(x * y))(X.astype("float32"), 3.0), [3.0, 3.0])
    close(uk.grad(lambda x: x**2)(3.0), 6.0)


def test_aux_may_be_anything():
    def f(x):
        return ops.sum(x**2), {"logits": x * 3.0, "note": "text"}

    (value, aux), gradient = uk.value_and_grad(f, has_aux=True)(tensor(X))
    close(value, 5.0)
    close(gradient, 2 * X)
    assert aux["note"] == "text"
    close(aux["logits"], 3 * X)
    gradient, aux = uk.grad(f, has_aux=True)(tensor(X))
    close(gradient, 2 * X)


def test_vjp_pulls_back_as_often_as_one_likes():
    outputs, pullback = uk.vjp(lambda a, b: {"p": a * b, "s": a + b}, tensor(X), tensor(X + 2))
    close(outputs["p"], X * (X + 2))
    for weight in (1.0, 5.0):
        a, b = pullback({"p": tensor([weight, 0.0]), "s": tensor([0.0, 1.0])})
        close(a, [weight * 3.0, 1.0])
        close(b, [weight * 1.0, 1.0])


def test_jvp_pushes_forward():
    value, tangent = uk.jvp(
        lambda a, b: ops.sin(a) * b, (tensor(X), tensor(X)), (tensor([1.0, 0.0]), tensor([0.0, 2.0]))
    )
    close(value, np.sin(X) * X)
    close(tangent, [np.cos(1.0) * 1.0, np.sin(2.0) * 2.0])


def test_jvp_lets_layers_move_their_state():
    layer = layers.BatchNormalization(momentum=0.5)
    layer.build((None, 1))
    x = tensor([[2.0], [4.0]])
    uk.jvp(lambda x: layer(x, training=True), (x,), (x,))
    close(layer.moving_mean, [1.5])


@pytest.mark.parametrize("mode", ["auto", "forward", "reverse"])
def test_jacobian_of_structures(mode):
    def f(x, y):
        return {"a": x * y[0], "b": ops.sum(x**2)}

    x, y = tensor(X), [tensor(3.0)]
    jacobian = uk.jacobian(f, argnums=(0, 1), mode=mode)(x, y)
    close(jacobian["a"][0], 3.0 * np.eye(2))
    close(jacobian["a"][1][0], X)
    close(jacobian["b"][0], 2 * X)
    close(jacobian["b"][1][0], 0.0)


def test_hessian_and_hvp():
    def f(x):
        return x[0] ** 2 * x[1] ** 3

    expected = np.array([[16.0, 24.0], [24.0, 12.0]])
    close(uk.hessian(f)(tensor(X)), expected)
    close(uk.jacobian(uk.jacobian(f))(tensor(X)), expected)
    close(uk.hvp(f, tensor(X), tensor([1.0, -1.0])), expected @ [1.0, -1.0])
    blocks = uk.hessian(lambda p: p["a"] * p["b"] ** 2)({"a": tensor(2.0), "b": tensor(3.0)})
    close(blocks["b"]["b"], 4.0)
    close(blocks["a"]["b"], 6.0)


def test_vmap_axes():
    a, b = np.arange(6.0).reshape(2, 3), np.array([1.0, 10.0])
    close(uk.vmap(lambda x, y: x * y, in_axes=(1, None))(tensor(a), tensor(b)), (a.T * b))
    close(uk.vmap(lambda x, y: x * y, in_axes=(1, None), out_axes=1)(tensor(a), tensor(b)), (a.T * b).T)
    mapped = uk.vmap(lambda d: {"s": ops.sum(d["x"])}, in_axes=({"x": 0},))({"x": tensor(a)})
    close(mapped["s"], a.sum(1))


def test_transforms_compose():
    rows = np.array([[1.0, 2.0], [3.0, 4.0]])
    close(uk.vmap(uk.grad(lambda x: ops.sum(x**3)))(tensor(rows)), 3 * rows**2)
    close(uk.grad(lambda x: ops.sum(uk.vmap(lambda r: r**3)(x)))(tensor(rows)), 3 * rows**2)
    close(uk.vmap(uk.vmap(uk.grad(lambda x: x**2)))(tensor(rows)), 2 * rows)
    close(uk.vmap(uk.jacobian(lambda x: x**2))(tensor(rows)), np.stack([np.diag(2 * r) for r in rows]))
    close(
        uk.vmap(uk.hessian(lambda x: ops.sum(x**3)))(tensor(rows)), np.stack([np.diag(6 * r) for r in rows])
    )
    close(uk.grad(uk.grad(uk.grad(lambda x: x**4)))(tensor(2.0)), 48.0)
    close(uk.jvp(uk.grad(lambda x: ops.sum(x**3)), (tensor(X),), (tensor([1.0, 1.0]),))[1], 6 * X)


def test_transforms_inside_a_compiled_function():
    rows = np.array([[1.0, 2.0], [3.0, 4.0]])
    close(uk.function(lambda x: uk.vmap(uk.grad(lambda r: ops.sum(r**3)))(x))(tensor(rows)), 3 * rows**2)
    close(uk.function(lambda x: uk.hessian(lambda x: ops.sum(x**3))(x))(tensor(X)), np.diag(6 * X))
    close(uk.function(lambda x: uk.hvp(lambda x: ops.sum(x**3), x, x))(tensor(X)), 6 * X**2)


def test_hessian_of_a_model():
    model = keras.Sequential([keras.Input((2,)), layers.Dense(3, "tanh"), layers.Dense(1)])
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=variable.shape) for variable in model.weights]
    model.set_weights(weights)
    hessian = ops.convert_to_numpy(uk.hessian(lambda x: model(x[None])[0, 0])(tensor(X)))
    (w, _, u, _), h = weights, np.tanh(X @ weights[0] + weights[1])
    expected = (w * (u[:, 0] * -2 * h * (1 - h**2))) @ w.T
    np.testing.assert_allclose(hessian, expected, rtol=1e-4, atol=1e-5)


def test_per_example_gradients_of_a_model():
    """What DP-SGD clips: one gradient for each example."""
    model = keras.Sequential([keras.Input((2,)), layers.Dense(1, use_bias=False)])
    model.set_weights([np.array([[2.0], [3.0]])])
    x, y = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0], [0.0]])

    def loss(x, y):
        return ops.sum((model(x[None])[0] - y) ** 2)

    gradients = uk.vmap(uk.grad(loss, variables=model.trainable_variables))(tensor(x), tensor(y))
    residual = x @ [[2.0], [3.0]] - y
    close(gradients[0], 2 * residual[:, :, None] * x[:, :, None])


def test_vmap_refuses_what_one_variable_cannot_hold():
    x = tensor([[1.0, 2.0], [3.0, 4.0]])
    dropout = keras.Sequential([keras.Input((2,)), layers.Dropout(0.5, name="forgetful")])
    with pytest.raises(TransformError, match=r"training=False[\s\S]*Dropout|Dropout[\s\S]*training=False"):
        uk.vmap(lambda r: dropout(r[None], training=True))(x)
    norm = keras.Sequential([keras.Input((2,)), layers.BatchNormalization(name="moving")])
    with pytest.raises(TransformError, match="moving/moving_mean"):
        uk.vmap(lambda r: norm(r[None], training=True))(x)
    close(uk.vmap(lambda r: dropout(r[None])[0])(x), [[1.0, 2.0], [3.0, 4.0]])


def test_custom_gradients():
    @uk.custom_gradient
    def f(a, b):
        return a * b, lambda upstream: (upstream * 10.0, upstream * 20.0)

    first, second = uk.grad(lambda a, b: 2.0 * f(a, b), argnums=(0, 1))(tensor(3.0), tensor(4.0))
    close(first, 20.0)
    close(second, 40.0)
    close(uk.function(lambda x: uk.grad(f)(x, x))(tensor(2.0)), 10.0)


def test_remat_changes_nothing():
    v = keras.Variable(X)
    f = uk.remat(lambda x: ops.sum(ops.sin(x) * v))
    close(uk.grad(f)(tensor(X)), np.cos(X) * X)
    close(uk.grad(f, variables=[v])(tensor(X))[0], np.sin(X))


def test_stop_gradient_takes_structures_and_variables():
    v = keras.Variable(X)
    stopped = uk.stop_gradient({"v": v, "x": [tensor(X)]})
    close(stopped["v"], X)
    assert uk.grad(lambda: ops.sum(uk.stop_gradient(v) * 2.0), variables=[v])()[0] is None
    close(uk.grad(lambda x: ops.sum(x * uk.stop_gradient([x])[0]))(tensor(X)), X)


def test_no_grad_is_a_context_and_a_decorator():
    x = tensor(3.0)

    @uk.no_grad()
    def constant(x):
        return x * 5.0

    with uk.GradientTape(persistent=True) as outer:
        outer.watch(x)
        with uk.GradientTape() as inner:
            inner.watch(x)
            with uk.no_grad():
                a = x * x
            y = x * a + constant(x)
        close(inner.gradient(y, x), 9.0)
    close(outer.gradient(y, x), 9.0)


def test_while_loops_where_the_framework_can():
    def f(x):
        return ops.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y * x), (0, x))[1]

    close(uk.grad(f)(tensor(2.0)), 32.0)


def test_while_loops_in_compiled_functions_answer_or_name_scan():
    def f(x):
        return ops.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y * x), (0, x))[1]

    answer = error = None
    try:
        answer = uk.function(uk.grad(f))(tensor(2.0))
    except TapeError as caught:
        error = caught
    assert float(ops.convert_to_numpy(answer)) == 32.0 if error is None else "keras.ops.scan" in str(error)


def test_scans():
    close(
        uk.grad(lambda x: ops.scan(lambda c, v: (c * v, c), x, tensor([1.0, 2.0, 3.0]))[0])(tensor(2.0)), 6.0
    )
    close(
        uk.grad(lambda x: ops.sum(ops.associative_scan(ops.multiply, x)))(tensor([1.0, 2.0, 3.0])),
        [9.0, 4.0, 2.0],
    )


def test_check_gradients_tells_right_from_wrong():
    right = uk.check_gradients(lambda a, b: ops.tanh(a) * b, tensor(X), tensor(X))
    assert right
    assert "equal" in str(right)

    @uk.custom_gradient
    def wrong(x):
        return x * x, lambda upstream: upstream * 3.0

    report = uk.check_gradients(wrong, tensor([1.0, 5.0]))
    assert not report
    assert report.worst[0].index == (1,)
    assert "DIFFERENT" in str(report)
    assert "tensor 0 at (1,): gradient 3" in str(report)


def test_gradients_leave_the_value_free_of_the_graph():
    value, _ = uk.value_and_grad(lambda x: ops.sum(x**2))(tensor(X))
    assert not getattr(value, "requires_grad", False)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: uk.grad(ops.sum, argnums=3)(x), "argnums names argument 3; the call has 1"),
        (lambda x: uk.grad(ops.sum, argnums="x")(x), "argnums must be an int"),
        (lambda x: uk.grad(lambda a: "text")(x), "returned a str.*has_aux=True"),
        (lambda x: uk.grad(lambda a: 3.0)(x), "returned a float"),
        (lambda x: uk.grad(lambda a: a, has_aux=True)(x), r"pair \(value, aux\)"),
        (lambda x: uk.grad(lambda a: a)("text"), "argument 0 holds a str"),
        (lambda x: uk.grad(lambda a: a)({"k": None}), "argument 0 holds a NoneType"),
        (lambda x: uk.jvp(ops.sum, (x,), (x, x)), "2 tangents for 1 primals"),
        (lambda x: uk.jvp(ops.sum, x, x), "must be sequences"),
        (lambda x: uk.jacobian(ops.sum, mode="sideways")(x), "sideways"),
        (lambda x: uk.vmap(ops.sum, in_axes=None)(x), "in_axes is None for 1"),
        (lambda x: uk.vmap(ops.sum, in_axes=(None,))(x), "maps over no argument"),
        (lambda x: uk.vmap(ops.sum, in_axes=(0, 0))(x), "for 1 positional"),
        (lambda x: uk.vmap(ops.add)(x, tensor([1.0, 2.0, 3.0])), r"different lengths: \[2, 3\]"),
        (lambda x: uk.vmap(ops.sum, in_axes=({"a": 0},))(x), "structure of argument 0"),
    ],
)
def test_bad_arguments_are_named(call, words):
    with pytest.raises((ArgumentError, ArgumentValueError), match=words) as caught:
        call(tensor(X))
    assert isinstance(caught.value, TypeError | ValueError)


def test_a_layer_may_be_built_under_a_transform():
    rows = tensor([[1.0, 2.0], [3.0, 4.0]])
    mapped = layers.Dense(1, use_bias=False, kernel_initializer="ones")
    close(uk.vmap(lambda r: mapped(r[None])[0])(rows), [[3.0], [7.0]])
    pushed = layers.Dense(1, use_bias=False, kernel_initializer="ones")
    close(uk.jvp(pushed, (rows,), (rows,))[1], [[3.0], [7.0]])
    close(uk.vmap(lambda r: r * 2.0)(rows), [[2.0, 4.0], [6.0, 8.0]])


def test_convolutions_under_vmap():
    layer = layers.Conv2D(1, 2, use_bias=False, kernel_initializer="ones")
    layer.build((None, 2, 2, 1))
    images = np.arange(8.0).reshape(2, 2, 2, 1)
    gradients = uk.vmap(uk.grad(lambda x: ops.sum(layer(x[None])) ** 2))(tensor(images))
    close(gradients[:, 0, 0, 0], 2 * images.sum((1, 2, 3)))


def test_a_tape_under_vmap_answers_or_names_grad():
    def f(x):
        with uk.GradientTape() as tape:
            tape.watch(x)
            y = x * x
        return tape.gradient(y, x)

    answer = error = None
    try:
        answer = uk.vmap(f)(tensor(X))
    except TransformError as caught:
        error = caught
    if error is None:
        close(answer, 2 * X)
    else:
        assert "uk.grad" in str(error)


def test_weights_given_to_a_stateless_call_have_gradients():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
    x = ops.convert_to_tensor(np.array([[1.0, 2.0]], "float32"))

    def loss(weights):
        predicted, _ = model.stateless_call(weights, [], x)
        return ops.sum(predicted)

    weights = [ops.convert_to_tensor(np.ones((2, 1), "float32"))]
    (gradient,) = uk.grad(loss)(weights)
    np.testing.assert_allclose(ops.convert_to_numpy(gradient), [[1.0], [2.0]])
    (twice,) = uk.grad(lambda weights: ops.sum(uk.grad(lambda w: loss(w) ** 2)(weights)[0]))(weights)
    np.testing.assert_allclose(ops.convert_to_numpy(twice), [[6.0], [12.0]])
