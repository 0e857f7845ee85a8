"""The ONNX files that `export_model` writes hold the operators that a person would have written."""

from __future__ import annotations

import collections

import keras
import pytest
from helpers.agreement import randomize
from keras import layers

import unikeras as uk

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

LOOPS = {"Loop", "Scan", "If"}


@pytest.fixture
def kinds(tmp_path):
    """Export a model and return its graph's operators, in order."""

    def export(stack):
        path = tmp_path / "m.onnx"
        (row,) = uk.export_model(randomize(keras.Sequential(stack)), path).artifacts
        assert row.route.startswith("torch lowering")
        return [node.op_type for node in onnx.load(path).graph.node]

    return export


@pytest.mark.parametrize("steps", [28, None])
def test_two_lstm_layers_are_two_operators(kinds, steps):
    stack = [keras.Input((steps, 5)), layers.LSTM(6, return_sequences=True), layers.LSTM(6), layers.Dense(2)]
    found = collections.Counter(kinds(stack))
    assert (found["LSTM"], found["Gemm"]) == (2, 1)
    assert not LOOPS & set(found)
    assert not {"Sigmoid", "Tanh"} & set(found)


def test_dense_layers_are_products(kinds):
    found = kinds([keras.Input((4,)), layers.Dense(3, "relu"), layers.Dense(2)])
    assert found == ["Gemm", "Relu", "Gemm"]


def test_convolutions_follow_one_another(kinds):
    one, two, three = (layers.Conv2D(size, 3, activation="relu") for size in (4, 6, 6))
    pooled = [one, layers.MaxPooling2D(), two, layers.BatchNormalization(), three]
    found = kinds([keras.Input((24, 24, 3)), *pooled, layers.Flatten(), layers.Dense(5)])
    assert found.count("Conv") == 3
    assert found.count("Transpose") <= 2
    last = len(found) - found[::-1].index("Conv")
    assert "Transpose" not in found[found.index("Conv") : last]
