"""Keras' own tests of its trainers, run against the loops and steps of `uk.Model`.

The suite is the file that Keras installs. It is read, not copied: the trainer mixin and the model classes that it names
are replaced, and so are the conditions under which Keras skips what its trainers cannot do and these can.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import sys
import types
import unittest
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import pytest
from keras.src.utils import traceback_utils

import unikeras as uk
from unikeras.training._default_steps import DefaultSteps
from unikeras.training._model import Functional

BACKEND = keras.backend.backend()

# By backend, a test of Keras' suite -> why it does not apply. One that passes all the same fails here.
NOT_APPLYING: dict[str, dict[str, str]] = {
    "tensorflow": {},
    "torch": {},
    "jax": {
        "test_fit_eval_flow_for_jax_model_weights": (
            "asserts that variables hold no value while fit runs; here they hold their values after every batch, so "
            "that callbacks may read and change them as on other backends"
        ),
    },
}

# Reasons for which Keras skips tests, and which do not hold here: the tests run.
LIFTED = {
    "`steps_per_execution` not implemented for torch yet",
    "`predict_function` with `steps_per_execution` is not optimized for tensorflow yet",
    "test_on_batch with jit_compile=True not supported in torch backend yet.",
    "half precision unsupported on torch CPU.",
}

# Keras' name -> the name in `_namespace`.
REPLACED = {
    "keras.Model": "Model",
    "models.Model": "Model",
    "keras.Sequential": "Sequential",
    "models.Sequential": "Sequential",
    "keras.src.Functional": "Functional",
}

# Keras' tests were written for runs in which a warning is no error.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(autouse=True, scope="module")
def _traceback_filtering():
    """Keras' test cases switch it off, for the rest of the process."""
    enabled = traceback_utils.is_traceback_filtering_enabled()
    yield
    if enabled:
        traceback_utils.enable_traceback_filtering()


# torch.compile takes ten seconds and more for a model: on PyTorch `jit_compile=True` compiles in these tests, in which
# models are trained, evaluated and asked, and runs as Python in the others. Graphs run as they were captured: what a
# C++ compiler makes of them is PyTorch's own affair.
COMPILED = {"test_predict_flow_jit", "test_on_batch_methods_jit"}


@pytest.fixture(autouse=True)
def _few_compilations(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch):
    if BACKEND != "torch":
        yield
        return
    import torch

    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    with torch.compiler.set_stance("default" if request.node.name in COMPILED else "force_eager"):
        yield


class _Rewriter(ast.NodeTransformer):
    """Puts our names in the place of Keras', and lifts what Keras says of its own trainers only."""

    def visit_Module(self, node: ast.Module) -> Any:
        node.body = [statement for statement in node.body if not _chooses_trainer(statement)]
        return self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> Any:
        if node.name == "JaxCustomTrainTestStepModel":
            # The steps of the other backends are the steps on JAX too.
            return ast.parse(f"{node.name} = CustomTrainTestStepModel").body
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        node.decorator_list = [mark for mark in node.decorator_list if not _is_void(mark)]
        return self.generic_visit(node)

    def visit_If(self, node: ast.If) -> Any:
        if isinstance(node.body[0], ast.Expr) and _is_void(node.body[0].value):
            return None
        return self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> Any:
        name = REPLACED.get(ast.unparse(node))
        return ast.copy_location(ast.Name(name, node.ctx), node) if name else self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> Any:
        # Tests feed one framework's data to another; an environment may have a single framework.
        (alias,) = node.names
        return _optional(alias.asname or alias.name, alias.name) if _is_optional(alias.name) else node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> Any:
        (alias,) = node.names
        is_lazy = node.module == "keras.src.utils.module_utils"
        return _optional(alias.asname, alias.name) if is_lazy else node


def _chooses_trainer(statement: ast.stmt) -> bool:
    is_import_of_jax = ast.unparse(statement) == "import jax"
    return is_import_of_jax or (isinstance(statement, ast.If) and "Trainer" in ast.unparse(statement))


def _is_void(node: ast.expr) -> bool:
    """Say whether a decorator or a call is one of Keras' skips that do not hold here, or a mark of its own."""
    constants = {part.value for part in ast.walk(node) if isinstance(part, ast.Constant)}
    return bool(LIFTED & constants) or ast.unparse(node) == "pytest.mark.requires_trainable_backend"


def _is_optional(module: str) -> bool:
    return module.partition(".")[0] in ("tensorflow", "torch", "jax", "grain", "scipy")


def _optional(name: str, module: str) -> list[ast.stmt]:
    return ast.parse(f"{name} = pytest.importorskip({module!r})").body


def _sequential(*args: Any, **kwargs: Any) -> Any:
    return uk.Model.from_keras(keras.Sequential(*args, **kwargs))


def _trainer() -> type:
    """Return the mixin that makes a layer a model, as `uk.Model` is made of `keras.Model`."""
    own = next(base for base in inspect.getmro(keras.Model) if base.__module__.endswith(f"{BACKEND}.trainer"))
    return type("Trainer", (DefaultSteps, own), {})


SOURCE = Path(keras.__file__).parent / "src/trainers/trainer_test.py"


def _suite() -> types.ModuleType:
    """Return Keras' test module with our models in it."""
    module = types.ModuleType("keras_trainer_suite")
    module.__file__ = str(SOURCE)
    vars(module).update(Trainer=_trainer(), Model=uk.Model, Sequential=_sequential, Functional=Functional)
    if find_spec("jax"):
        vars(module)["jax"] = importlib.import_module("jax")
    # Worker processes find the classes of its datasets by name.
    sys.modules[module.__name__] = module
    tree = ast.fix_missing_locations(_Rewriter().visit(ast.parse(SOURCE.read_text())))
    exec(compile(tree, str(SOURCE), "exec"), vars(module))
    return module


def _with_marks(case: type[unittest.TestCase]) -> type[unittest.TestCase]:
    for name in unittest.TestLoader().getTestCaseNames(case):
        if reason := NOT_APPLYING[BACKEND].get(name):
            setattr(case, name, pytest.mark.xfail(reason=reason, strict=True)(getattr(case, name)))
    return case


_module = _suite()
TestTrainer = _with_marks(_module.TestTrainer)
JAXTrainerCorrectnessTest = _with_marks(_module.JAXTrainerCorrectnessTest)


def test_the_tables_name_what_the_suite_has():
    text = SOURCE.read_text()
    assert all(name in text for name in REPLACED)
    tests = unittest.TestLoader().getTestCaseNames(TestTrainer)
    assert {name for names in NOT_APPLYING.values() for name in names} <= set(tests)


def test_the_suite_runs_on_our_steps():
    assert issubclass(_module.ExampleModel, DefaultSteps)
    assert issubclass(_module.JaxCustomTrainTestStepModel, DefaultSteps)
    assert "keras.Model" not in ast.unparse(_Rewriter().visit(ast.parse(SOURCE.read_text())))
