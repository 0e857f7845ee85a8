"""Keras' own tests of its recurrent layers, run against ours.

The suites are the files that Keras installs (`rnn_test.py` is not among them: it names neither layer). They are read,
not copied: the two layers are replaced.
"""

from __future__ import annotations

import ast
import types
import unittest
from pathlib import Path
from typing import Any

import keras
import pytest
from keras.src.utils import traceback_utils

import unikeras as uk

# Keras' tests were written for runs in which a warning is no error.
pytestmark = pytest.mark.filterwarnings("default")

FOLDER = Path(keras.__file__).parent / "src/layers/rnn"
FILES = {name: FOLDER / f"{name}_test.py" for name in ("lstm", "gru", "bidirectional")}
REPLACED = {"layers.LSTM": "LSTM", "layers.GRU": "GRU"}


@pytest.fixture(autouse=True, scope="module")
def _traceback_filtering():
    """Keras' test cases switch it off, for the rest of the process."""
    enabled = traceback_utils.is_traceback_filtering_enabled()
    yield
    if enabled:
        traceback_utils.enable_traceback_filtering()


class _Rewriter(ast.NodeTransformer):
    """Puts our layers in the place of Keras'."""

    def visit_Attribute(self, node: ast.Attribute) -> Any:
        name = REPLACED.get(ast.unparse(node))
        return ast.copy_location(ast.Name(name, node.ctx), node) if name else self.generic_visit(node)


def _tree(name: str) -> ast.AST:
    return ast.fix_missing_locations(_Rewriter().visit(ast.parse(FILES[name].read_text())))


def _suite(name: str) -> types.ModuleType:
    """Return Keras' test module with our layers in it."""
    module = types.ModuleType(f"keras_{name}_suite")
    module.__file__ = str(FILES[name])
    vars(module).update(LSTM=uk.layers.LSTM, GRU=uk.layers.GRU)
    exec(compile(_tree(name), module.__file__, "exec"), vars(module))
    return module


def _case(name: str) -> type[unittest.TestCase]:
    found = [
        value
        for value in vars(_suite(name)).values()
        if isinstance(value, type) and issubclass(value, unittest.TestCase)
    ]
    (case,) = found
    return case


TestLSTM = _case("lstm")
TestGRU = _case("gru")
TestBidirectional = _case("bidirectional")


def test_the_suites_run_on_our_layers():
    for name in FILES:
        assert any(text in FILES[name].read_text() for text in REPLACED)
        assert not any(text in ast.unparse(_tree(name)) for text in REPLACED)


@pytest.mark.parametrize("case", [TestLSTM, TestGRU, TestBidirectional])
def test_the_suites_have_tests(case):
    assert len(unittest.TestLoader().getTestCaseNames(case)) > 5
