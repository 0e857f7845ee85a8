"""Every example in a docstring runs, on the backend that runs here; every public name has one."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
from pathlib import Path

import pytest
from helpers import docstrings

import unikeras as uk

PACKAGE = Path(uk.__file__).parent
# Rooms of one framework import it, and have no examples of their own, but for what is public there.
FRAMEWORKS = ("backends/tensorflow", "backends/torch", "backends/jax", "export/writers", "lowering")
PUBLIC_THERE = (PACKAGE / "lowering/_rule_registry.py",)
# Their examples export in whatever format can be written.
EXPORTING = ("artifact.py",)
MODULES = [
    path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path in PUBLIC_THERE
    or (path.name != "__main__.py" and not any(path.is_relative_to(PACKAGE / room) for room in FRAMEWORKS))
]
# Their examples begin with a module of torch, or end with one.
OF_TORCH = {"_rule_registry.py", "_from_torch.py", "_module_layer.py", "_written_models.py"}
WITH_EXAMPLES = [path for path in MODULES if ">>> " in path.read_text()]


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_examples_run(path, tmp_path, monkeypatch):
    if path.name in EXPORTING and not any(row.available for row in uk.export_formats()):
        pytest.skip("no format can be written here")
    if path.name in OF_TORCH:
        pytest.importorskip("torch", reason="the example is about a torch module, and torch is not installed")
    monkeypatch.chdir(tmp_path)
    dotted = ".".join(["unikeras", *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(
        ".__init__"
    )
    results = doctest.testmod(importlib.import_module(dotted), optionflags=doctest.ELLIPSIS)
    assert results.attempted
    assert not results.failed


# What the root exports, what the public modules export, and the types of what public functions return.
ROOMS = (
    "backends",
    "callbacks",
    "chat",
    "compare",
    "data",
    "data.transforms",
    "drawing",
    "export",
    "functions",
    "interop",
    "layers",
    "memory",
    "random",
    "streaming",
    "testing",
    "training",
    "workers",
)
# A backend's author reads the contract, class by class, and writes none of its calls.
CONTRACT = ("Backend", "Composite", "KeptValue", "NativeModule", "Program")
# name -> where it comes from: a paper, or the upstream API that it reproduces
SOURCES = {
    "GradientTape": "tf.GradientTape",
    "Model": "keras.Model",
    "TorchModule": "keras.layers.TorchModuleWrapper",
    "check_gradients": "torch.autograd.gradcheck",
    "custom_gradient": "tf.custom_gradient",
    "from_source": "torch.utils.data.Dataset",
    "grad": "jax.grad",
    "hessian": "jax.hessian",
    "hvp": "Pearlmutter (1994)",
    "jacobian": "jax.jacobian",
    "jvp": "jax.jvp",
    "load_state_dict": "torch.nn.Module.load_state_dict",
    "no_grad": "torch.no_grad",
    "remat": "keras.remat",
    "state_dict": "torch.nn.Module.state_dict",
    "stop_gradient": "jax.lax.stop_gradient",
    "tbptt": "Williams and Peng (1990)",
    "value_and_grad": "jax.value_and_grad",
    "vjp": "jax.vjp",
    "vmap": "jax.vmap",
}


def _public():
    """Return the public functions and classes, by name."""
    rooms = [uk, *(importlib.import_module(f"unikeras.{room}") for room in ROOMS)]
    found = {name: getattr(room, name) for room in rooms for name in getattr(room, "__all__", ())}
    return {
        name: value for name, value in found.items() if not inspect.ismodule(value) and name not in CONTRACT
    }


def _returned_types():
    """Return the types that only a call shows, by name."""
    import keras

    model = keras.Sequential([keras.Input((None, 2)), keras.layers.GRU(2, return_sequences=True)])
    values = (
        uk.function(lambda x: x),
        uk.data.from_arrays([1.0]).batch(1),
        uk.training.tbptt(model, 5),
        uk.check_gradients(lambda x: x * x, keras.ops.ones((1,))),
    )
    return {type(value).__name__: type(value) for value in values}


def _is_of_keras(cls, name):
    """Tell whether Keras documents a method, or the arguments of a class: it has them from there."""
    return any(name in vars(base) for base in cls.__mro__ if base.__module__.startswith("keras."))


def _lacking_in_class(cls):
    own = not _is_of_keras(cls, "__init__") or cls.__name__ in ("TruncatedBPTT",)
    yield cls.__name__, docstrings.lacking(cls, example=True, parameters=own)
    for name, member in docstrings.public_members(cls):
        is_contract_test = name.startswith("test_")
        if not is_contract_test and not _is_of_keras(cls, name):
            overrides = any(name in vars(base) for base in cls.__mro__[1:])  # the base documents it in full
            missing = docstrings.lacking(member)
            yield f"{cls.__name__}.{name}", [one for one in missing if not overrides or "sentence" in one]


PUBLIC = _public()


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_are_documented_in_full(name):
    _assert_documented(PUBLIC[name])


@pytest.mark.parametrize("name", PUBLIC)
def test_the_example_of_a_public_name_is_among_those_that_run(name):
    assert Path(inspect.getsourcefile(inspect.unwrap(PUBLIC[name]))) in WITH_EXAMPLES


def test_returned_types_are_documented_in_full():
    for cls in _returned_types().values():
        _assert_documented(cls)


def _assert_documented(value):
    if inspect.isclass(value):
        assert {name: missing for name, missing in _lacking_in_class(value) if missing} == {}
    else:
        assert docstrings.lacking(value, example=True) == []


@pytest.mark.parametrize("name", SOURCES)
def test_what_comes_from_elsewhere_says_so(name):
    text = inspect.getdoc(PUBLIC[name])
    assert re.search(rf"^Source:\s+{re.escape(SOURCES[name])}", text, re.MULTILINE)


def test_a_docstring_that_lacks_everything_is_found():
    def f(x, *args):
        """Nothing"""
        if args:
            raise ValueError
        return x

    missing = ["a first sentence", "an example", "Args: x", "Args: args", "Returns:", "Raises:"]
    assert docstrings.lacking(f, example=True) == missing


def test_every_error_says_what_it_is_about():
    for name in uk.errors.__all__:
        error = getattr(uk.errors, name)
        assert issubclass(error, uk.errors.UnikerasError)
        assert error.__doc__
