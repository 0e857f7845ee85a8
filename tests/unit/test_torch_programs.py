"""Modules of PyTorch as programs: graphs and arrays that need no torch to be read."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest

torch = pytest.importorskip("torch")
if keras.backend.backend() != "torch":
    pytest.skip("of the torch backend", allow_module_level=True)

from torch import nn  # noqa: E402 - where there is torch

from unikeras.lowering import module_answers, module_program  # noqa: E402

X = torch.linspace(-1.0, 1.0, 10).reshape(2, 5)


def everything(name):
    return True


def operators(graph):
    return [node.operator for node in graph.nodes]


def test_a_layer_is_one_operator_of_named_variables():
    module = nn.Sequential(nn.Linear(5, 3), nn.ReLU())
    program, arrays = module_program(module, X, keep=everything)
    assert operators(program.eval) == ["aten.linear.default", "aten.relu.default"]
    assert [v.name for v in program.variables] == ["0.weight", "0.bias"]
    np.testing.assert_array_equal(arrays["0.weight"], module[0].weight.detach().numpy())
    assert program.inputs[0].shape == (None, 5)
    json.dumps(program.to_json(), allow_nan=False)


def test_answers_are_those_of_torch_without_dropout():
    module = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Dropout(0.9), nn.Linear(4, 3))
    same = nn.Sequential(module[0], module[1], module[3])
    for x in (X, X.numpy()):
        answers = module_answers(module, x, steps=2, epsilon=1e-12)
        np.testing.assert_allclose(answers.evaluated[0], same.eval()(X).detach(), rtol=1e-6)
    untrained = {name: value.clone() for name, value in module.state_dict().items()}
    module.train()
    output = same.train()(X)
    np.testing.assert_allclose(answers.trained[0], output.detach(), rtol=1e-6)
    (output * torch.from_numpy(answers.weights[0])).sum().backward()
    np.testing.assert_allclose(answers.gradients["3.weight"], module[3].weight.grad, rtol=1e-5)
    np.testing.assert_allclose(answers.buffers["1.running_mean"], module[1].running_mean, rtol=1e-6)
    assert answers.losses[1] < answers.losses[0]
    assert not torch.equal(untrained["1.running_mean"], module[1].running_mean)
    step = answers.parameters["3.bias"] - untrained["3.bias"].numpy()
    np.testing.assert_allclose(np.abs(step), 2e-3, rtol=1e-3)
