"""Operators of our own for updates and for batch normalization: what Keras' own code computes, in one call."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers, optimizers

torch = pytest.importorskip("torch")
if keras.backend.backend() != "torch":
    pytest.skip("the operators are of PyTorch", allow_module_level=True)

from helpers.torch_graphs import count, traced, ulps  # noqa: E402

from unikeras.backends.torch._fused_normalization import fused_normalization  # noqa: E402
from unikeras.backends.torch._fused_optimizers import fused_updates  # noqa: E402


def schedule():
    return optimizers.schedules.ExponentialDecay(0.05, 2, 0.9)


OPTIMIZERS = {
    "adam": lambda: optimizers.Adam(),
    "adam with a schedule": lambda: optimizers.Adam(schedule(), beta_1=0.8, epsilon=1e-3),
    "amsgrad": lambda: optimizers.Adam(amsgrad=True, beta_2=0.5),
    "adamw": lambda: optimizers.AdamW(weight_decay=0.01, clipnorm=1.0),
    "averages": lambda: optimizers.Adam(use_ema=True, ema_momentum=0.9),
    "accumulation": lambda: optimizers.Adam(gradient_accumulation_steps=2),
    "sgd": lambda: optimizers.SGD(0.1),
    "momentum": lambda: optimizers.SGD(0.1, momentum=0.9),
    "nesterov": lambda: optimizers.SGD(schedule(), momentum=0.9, nesterov=True),
}


def trained(optimizer, dtype, fused, steps=5):
    """Return the values of all variables after each step."""
    rng = np.random.default_rng(0)
    variables = [
        keras.Variable(rng.normal(size=shape), dtype=dtype) for shape in [(3, 3, 2, 4), (7,), (), (5, 6)]
    ]
    variables[1].trainable = False
    trainable = [variable for variable in variables if variable.trainable]
    optimizer.build(trainable)
    after = []
    for step in range(steps):
        grads = [
            torch.tensor(rng.normal(size=v.shape) / (step + 1), dtype=getattr(torch, dtype))
            for v in trainable
        ]
        grads[0] = grads[0].movedim(-1, 0).contiguous().movedim(0, -1)  # as a convolution returns it
        if fused:
            with fused_updates():
                optimizer.apply(grads, trainable)
        else:
            optimizer.apply(grads, trainable)
        after.append([v.value.detach().clone() for v in [*variables, *optimizer.variables]])
    return after


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_updates_are_those_of_keras(name, dtype):
    make = OPTIMIZERS[name]
    for mine, own in zip(trained(make(), dtype, True), trained(make(), dtype, False), strict=True):
        assert ulps(mine, own) <= 4


def test_variables_of_another_layout_are_updated_too():
    value = torch.randn(4, 5).t()
    mine, own = keras.Variable(value), keras.Variable(value.clone())
    mine.value.data = value.clone().t().contiguous().t()
    for variable, block in ((mine, fused_updates), (own, None)):
        optimizer = optimizers.Adam()
        optimizer.build([variable])
        grads = [torch.linspace(0, 1, 20).view(5, 4)]
        if block is None:
            optimizer.apply(grads, [variable])
        else:
            with block():
                optimizer.apply(grads, [variable])
    assert ulps([mine.value], [own.value]) <= 4


@pytest.mark.parametrize("name", ["adam", "momentum"])
def test_a_trace_has_one_operator(name):
    variable = keras.Variable(np.ones((3, 2)))
    optimizer = OPTIMIZERS[name]()
    optimizer.build([variable])

    def step(grad, value, *state):
        with (
            keras.StatelessScope([(variable, value), *zip(optimizer.variables, state, strict=True)]),
            fused_updates(),
        ):
            optimizer.apply([grad], [variable])
        return value + 0

    state = [variable.value.detach() for variable in optimizer.variables]
    graph = traced(step, torch.ones(3, 2), variable.value.detach(), *state)
    mine = torch.ops.unikeras.adam_.default if name == "adam" else torch.ops.unikeras.sgd_.default
    assert count(graph, mine) == 1
    assert "foreach" not in graph.code
    before = variable.value.detach().clone()
    graph(torch.ones(3, 2), before, *(value.clone() for value in state))
    optimizer.apply([torch.ones(3, 2)], [variable])
    assert ulps([before], [variable.value]) <= 4


def test_behind_the_block_keras_updates_itself():
    with fused_updates():
        pass
    own = optimizers.Adam()
    assert "unikeras" not in type(own)._parallel_update_step.__module__


NORMALIZED = {
    "images": ({}, (4, 5, 5, 3)),
    "rows": ({"scale": False}, (16, 3)),
    "sequences": ({"center": False, "momentum": 0.5}, (4, 6, 3)),
    "one row": ({}, (1, 3)),
    "another axis": ({"axis": 1}, (4, 3, 5)),
    "renorm": ({"renorm": True}, (8, 3)),
    "float16": ({"dtype": "mixed_float16"}, (16, 3)),
}


def normalized(options, shape, fused, training=True):
    """Return outputs, gradients and moving statistics of one training step."""
    layer = layers.BatchNormalization(**options)
    layer.build(shape)
    for weight in layer.weights[:2]:
        weight.assign(np.linspace(0.5, 2, 3))
    x = torch.from_numpy(np.random.default_rng(0).normal(1, 2, shape).astype("float32")).requires_grad_()
    wanted = torch.from_numpy(np.random.default_rng(1).normal(size=shape).astype("float32"))
    if fused:
        with fused_normalization():
            y = layer(x, training=training)
    else:
        y = layer(x, training=training)
    read = [x, *(weight.value for weight in layer.trainable_weights)]
    grads = torch.autograd.grad((y * wanted).sum(), read)
    return [y.detach(), *grads, *(weight.value.detach() for weight in layer.non_trainable_weights)]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", NORMALIZED)
def test_normalization_is_that_of_keras(name, training):
    options, shape = NORMALIZED[name]
    pairs = normalized(options, shape, True, training), normalized(options, shape, False, training)
    for mine, own in zip(*pairs, strict=True):
        np.testing.assert_allclose(mine, own, rtol=2e-5, atol=2e-6 * float(own.abs().max() + 1))


def test_a_layer_with_a_call_of_its_own_is_left_alone():
    class Doubled(layers.BatchNormalization):
        def call(self, inputs, training=None, mask=None):
            mean, variance = self._moments(inputs, mask)
            return keras.ops.batch_normalization(
                inputs, mean, variance, -1, scale=2 * self.gamma, epsilon=self.epsilon
            )

    layer = Doubled()
    x = torch.randn(8, 3)
    expected = layer(x)
    with fused_normalization():
        assert torch.equal(layer(x), expected)
