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

from unikeras.lowering import module_program  # noqa: E402

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
