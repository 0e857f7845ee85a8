"""Every backend to every format: trained there, written by whichever exporter, run where Keras is not."""

from __future__ import annotations

import json
import subprocess
import sys

import keras
import numpy as np
import pytest

import unikeras as uk
from unikeras.backends import _registry
from unikeras.export.request.format_table import FORMATS

BACKENDS = _registry.names()
SUFFIXES = {name: row.suffix for name, row in FORMATS.items()}
MODELS = ("mlp", "cnn", "pooled", "two_by_two", "tokens")

# The first exporter of each cell; a cross-backend export names the backend that it goes through.
LOWERED = {
    "torchscript": "torch lowering",
    "onnx": "torch lowering",
    "pt2": "torch lowering",
    "openvino": "openvino by torch lowering",
}
ROUTES = {
    ("tensorflow", "saved_model"): "keras.export",
    ("tensorflow", "litert"): "tf.lite",
    ("torch", "saved_model"): "keras.export on tensorflow",
    ("torch", "litert"): "tf.lite on tensorflow",
    ("jax", "saved_model"): "keras.export",
    ("jax", "litert"): "tf.lite on tensorflow",
    **{(backend, format): name for backend in BACKENDS for format, name in LOWERED.items()},
}


def _train_and_export(name, folder, format):
    """Train a small model on the backend of this process, export it, and say what it predicts."""
    import keras
    import numpy as np
    from keras import Input, Model, Sequential, layers

    import unikeras as uk

    keras.utils.set_random_seed(3)
    rng = np.random.default_rng(3)
    pair = {"right": Input((4,), name="right"), "left": Input((4,), name="left")}
    hidden = layers.Subtract()([layers.Dense(4)(pair["right"]), pair["left"]])
    tokens = Input((10,), dtype="int32", name="tokens")
    embedded = layers.GlobalAveragePooling1D()(layers.Embedding(50, 8)(tokens))
    regular = layers.BatchNormalization(), layers.Dropout(0.5)
    models = {
        "mlp": Sequential([Input((6,)), layers.Dense(8, "relu"), *regular, layers.Dense(3, "softmax")]),
        "cnn": Sequential(
            [
                Input((12, 12, 2)),
                layers.Conv2D(4, 3, activation="relu"),
                layers.BatchNormalization(),
                layers.MaxPooling2D(),
                layers.Dropout(0.3),
                layers.Flatten(),
                layers.Dense(3, "softmax"),
            ]
        ),
        "pooled": Sequential(
            [
                Input((9, 9, 2)),
                layers.Conv2D(4, 3, strides=2, padding="same"),
                layers.GlobalAveragePooling2D(),
                layers.Dense(3),
            ]
        ),
        "two_by_two": Model(pair, {"sum": layers.Dense(1)(hidden), "copy": layers.Dense(2)(pair["left"])}),
        "tokens": Model(tokens, layers.Dense(2)(embedded)),
    }
    model = models[name]
    model.name = name
    x = {key: rng.normal(size=(8, *value.shape[1:])).astype("float32") for key, value in pair.items()}
    if name == "tokens":
        x = rng.integers(0, 50, (8, 10)).astype("int32")
    elif name != "two_by_two":
        x = rng.normal(size=(8, *model.input_shape[1:])).astype("float32")
    before = model.predict(x, verbose=0)
    model.compile("adam", "mse")
    targets = keras.tree.map_structure(lambda y: rng.normal(size=y.shape).astype("float32"), before)
    model.fit(x, targets, epochs=2, verbose=0)
    (row,) = uk.export_model(model, folder, [format]).to_dict()["artifacts"]
    return x, model.predict(x, verbose=0), row


@pytest.mark.rotated("backend", "name", "format")
@pytest.mark.parametrize("format", SUFFIXES)
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_cell(tmp_path, backend, name, format):
    x, expected, row = uk.run_on(backend, _train_and_export, name, str(tmp_path), format)
    passed_over = [one for one in row["passed_over"] if "lowering" not in one["route"]]
    assert (row["error"], row["route"], passed_over) == (None, ROUTES[backend, format], [])
    assert row["verified_at"] == [1, 3, 8]
    assert row["max_error"] < 1e-4
    _assert_same(uk.load_artifact(row["path"]).predict(x), expected)
    _assert_same(_alone(tmp_path, name, format, x, expected), expected)


def _assert_same(received, expected):
    expected = expected if isinstance(expected, dict) else {None: expected}
    received = received if isinstance(received, dict) else {None: received}
    assert set(received) == set(expected)
    for key, value in expected.items():
        assert (received[key].shape, received[key].dtype) == (value.shape, value.dtype)
        np.testing.assert_allclose(received[key], value, rtol=1e-4, atol=1e-5)


# Each format as its own users run it: nothing can be imported but its runtime with what that needs itself.
_ALONE = """
import sys
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder
allowed = sys.stdlib_module_names | {"numpy"} | set(sys.argv[3].split(","))
class Only:
    def find_spec(name, path=None, target=None):
        known = name.partition(".")[0] in allowed or name.startswith("_sysconfigdata")
        return PathFinder.find_spec(name, path, target) if known else None
sys.meta_path[:] = [BuiltinImporter, FrozenImporter, Only]
from pathlib import Path
import numpy as np
%s
for given in Path(sys.argv[1]).glob("*.in.npz"):
    name = given.name.removesuffix(".in.npz")
    y = run(str(Path(sys.argv[1]) / (name + sys.argv[2])), dict(np.load(given)))
    np.savez(given.with_name(f"{name}.out.npz"), **y)
"""

# torch and TensorFlow with the packages that they require; the small runtimes with numpy alone.
_TORCH = "torch,torchgen,functorch,typing_extensions,sympy,mpmath,networkx,jinja2,markupsafe,filelock,fsspec"
_TENSORFLOW = (
    "tensorflow,google,absl,astunparse,flatbuffers,gast,grpc,h5py,ml_dtypes,opt_einsum,packaging,requests,"
    "setuptools,six,termcolor,typing_extensions,wrapt,urllib3,certifi,charset_normalizer,idna"
)
_NEEDS = {
    "saved_model": _TENSORFLOW,
    "torchscript": _TORCH,
    "onnx": "onnxruntime",
    "pt2": _TORCH,
    "litert": "ai_edge_litert",
    "openvino": "openvino",
}

_RUN = {
    "saved_model": """
import tensorflow as tf
def run(path, x):
    loaded = tf.saved_model.load(path)
    serve = loaded.signatures["serving_default"]
    names = list(serve.structured_input_signature[1])
    outputs = serve(**{name: x.get(name, x.get("x")) for name in names})
    return {key: value.numpy() for key, value in outputs.items()}
""",
    "torchscript": """
import torch
def run(path, x):
    module = torch.jit.load(path)
    names = [argument.name for argument in module.forward.schema.arguments[1:]]
    y = module(**{name: torch.tensor(x.get(name, x.get("x"))) for name in names})
    return {str(number): one.numpy() for number, one in enumerate(y if isinstance(y, tuple) else [y])}
""",
    "onnx": """
import onnxruntime
def run(path, x):
    session = onnxruntime.InferenceSession(path)
    assert all(value.shape[0] == "batch" for value in session.get_inputs() + session.get_outputs())
    names = [value.name for value in session.get_inputs()]
    y = session.run(None, {name: x.get(name, x.get("x")) for name in names})
    return dict(zip([value.name for value in session.get_outputs()], y))
""",
    "pt2": """
import torch
def run(path, x):
    program = torch.export.load(path)
    names = program.graph_signature.user_inputs
    y = program.module()(*(torch.tensor(x.get(name, x.get("x"))) for name in names))
    return {str(number): one.detach().numpy() for number, one in enumerate(y if isinstance(y, tuple) else [y])}
""",
    "litert": """
from ai_edge_litert.interpreter import Interpreter
def run(path, x):
    runner = Interpreter(path).get_signature_runner("serving_default")
    return runner(**{name: x.get(name, x.get("x")) for name in runner.get_input_details()})
""",
    "openvino": """
import openvino
def run(path, x):
    model = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    names = [port.get_any_name() for port in model.inputs]
    y = model({name: x.get(name, x.get("x")) for name in names})
    return {port.get_any_name(): y[port] for port in model.outputs}
""",
}


def _alone(folder, name, format, x, expected):
    """Return what the artifact gives where Keras is not."""
    np.savez(folder / f"{name}.in.npz", **(x if isinstance(x, dict) else {"x": x}))
    script, arguments = _ALONE % _RUN[format], [folder, SUFFIXES[format], _NEEDS[format]]
    subprocess.run([sys.executable, "-W", "ignore", "-c", script, *arguments], check=True, cwd=folder)
    return _in_structure(dict(np.load(folder / f"{name}.out.npz")), expected)


def _in_structure(outputs, expected):
    if not isinstance(expected, dict):
        return next(iter(outputs.values()))
    # TorchScript and .pt2 return a tuple, in the order in which the model names its outputs.
    return {"sum": outputs["0"], "copy": outputs["1"]} if "0" in outputs else outputs


def _export_mutated(mutation, route_name, format, path):
    """Export a model with an exporter that makes one mistake; return the error's class and text."""
    import dataclasses

    import keras
    import numpy as np
    from keras import Input, layers

    from unikeras.export import Signature, export_model
    from unikeras.export import _export_model as _export
    from unikeras.export.writers import WRITERS

    route = next(one for one in WRITERS if one.name == route_name)

    class Training(Signature):
        def call(self, model, tensors):
            return [model(dict(zip(self.input_names, tensors, strict=True)), training=True)]

    class Swapped(Signature):
        def call(self, model, tensors):
            return super().call(model, tensors[::-1])

    class Mutated(type(route)):
        def write(self, model, path, order):
            bias = model.get_layer("last").bias
            kept = np.array(keras.ops.convert_to_numpy(bias.value))
            bias.assign(kept * (mutation != "dropped bias"))
            kind = {"training left on": Training, "swapped inputs": Swapped}.get(mutation, Signature)
            mistaken = kind(
                **{
                    one.name: getattr(order.signature, one.name)
                    for one in dataclasses.fields(order.signature)
                }
            )
            super().write(model, path, dataclasses.replace(order, signature=mistaken))
            bias.assign(kept)

    inputs = {"b": Input((4,), name="b"), "a": Input((4,), name="a")}
    hidden = layers.Subtract()([inputs["b"], inputs["a"]])
    hidden = layers.Dropout(0.5)(layers.BatchNormalization()(hidden))
    model = keras.Model(inputs, layers.Dense(3, name="last", bias_initializer="ones")(hidden))
    mutated = Mutated.__new__(Mutated)
    mutated.__dict__.update(route.__dict__)
    _export.usable_writers = lambda format, backend, verify: [mutated]
    try:
        export_model(model, path, format)
    except Exception as error:
        return type(error).__name__, str(error)
    finally:
        from unikeras.export._offers import usable_writers

        _export.usable_writers = usable_writers
    return None, ""


# These converters have no operator for batch statistics, or random numbers: there is nothing to compare.
NO_FILE = {
    ("torch.onnx", "training left on"),
    ("tf2onnx", "training left on"),
    ("openvino by torch.onnx", "training left on"),
    ("tf.lite", "training left on"),
}


@pytest.mark.rotated("route", "backend", "mutation", parts=4)
@pytest.mark.parametrize(
    ("backend", "format", "route"),
    [
        ("tensorflow", "saved_model", "keras.export"),
        ("jax", "saved_model", "keras.export"),
        ("torch", "torchscript", "torch.jit.trace"),
        ("torch", "onnx", "torch.onnx"),
        ("torch", "onnx", "torch.onnx by tracing"),
        ("tensorflow", "onnx", "tf2onnx"),
        ("torch", "pt2", "torch.export"),
        ("tensorflow", "litert", "tf.lite"),
        ("torch", "openvino", "openvino by torch.onnx"),
    ],
)
@pytest.mark.parametrize("mutation", ["dropped bias", "training left on", "swapped inputs", None])
def test_a_route_that_makes_a_mistake_is_caught(tmp_path, backend, format, route, mutation):
    path = tmp_path / f"m{SUFFIXES[format]}"
    kind, text = uk.run_on(backend, _export_mutated, mutation, route, format, str(path))
    if mutation is None:
        assert (kind, text) == (None, "")
        return
    if (route, mutation) in NO_FILE:
        assert kind == "ExportError", text
    else:
        assert kind == "ExportMismatch", text
        assert "output 'last' at batch 1 is" in text
    assert list(tmp_path.iterdir()) == []


def _export_a_recurrence_of_free_length(path, routes):
    """Export with the exporters whose names are given, if any."""
    import keras
    from keras import layers

    import unikeras as uk
    from unikeras.export import _export_model as _export
    from unikeras.export._offers import usable_writers

    model = keras.Sequential([keras.Input((None, 4)), layers.LSTM(8), layers.Dense(3, name="y")], name="free")
    if routes:
        _export.usable_writers = lambda *args, **kwargs: [
            route for route in usable_writers(*args, **kwargs) if route.name in routes
        ]
    try:
        return uk.export_model(model, path).to_dict(), None
    except uk.errors.ExportError as error:
        return error.report.to_dict(), str(error)
    finally:
        _export.usable_writers = usable_writers


def test_an_unrolled_recurrence_is_not_taken_for_a_free_one(tmp_path):
    """Keras 3.15 exports this one from torch to ONNX without a word, and wrong."""
    routes = ["torch.onnx by tracing", "tf2onnx on tensorflow"]
    report, error = uk.run_on("torch", _export_a_recurrence_of_free_length, str(tmp_path / "m.onnx"), routes)
    (row,) = report["artifacts"]
    assert error is None
    assert row["route"] == "tf2onnx on tensorflow"
    (passed,) = row["passed_over"]
    assert passed["route"] == "torch.onnx by tracing"
    path = tmp_path / "m.pt"
    report, error = uk.run_on("torch", _export_a_recurrence_of_free_length, str(path), ["torch.jit.trace"])
    assert error.startswith("model 'free' could not be exported as torchscript")
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]
    json.dumps(report)


def test_litert_holds_one_example_of_free_length_and_predicts_many(tmp_path):
    path = tmp_path / "m.tflite"
    report, error = uk.run_on("tensorflow", _export_a_recurrence_of_free_length, str(path), [])
    (row,) = report["artifacts"]
    assert error is None
    assert "holds one example at a time" in row["remarks"][0]
    artifact = uk.load_artifact(path)
    assert artifact.signature.inputs[0].shape == (None, None, 4)
    x = np.random.default_rng(0).normal(size=(5, 17, 4)).astype("float32")
    together = artifact.predict(x)
    np.testing.assert_allclose(together, np.concatenate([artifact.predict(x[i : i + 1]) for i in range(5)]))


class Bare(keras.Model):
    """A constructor that takes none of the keywords that Keras saves."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(2)

    def call(self, features):
        return self.dense(features) * 2.0


def _export_bare(kind, path):
    import numpy as np

    import unikeras as uk

    model = kind()
    model(np.ones((1, 3), "float32"))
    report = uk.export_model(model, path)
    return report.to_dict(), model.predict(np.ones((4, 3), "float32"), verbose=0)


@pytest.mark.parametrize(
    ("backend", "suffix", "route"),
    [("jax", ".pt2", "torch.export on torch"), ("torch", ".tflite", "tf.lite on tensorflow")],
)
def test_a_class_of_a_script_hops_by_value(tmp_path, backend, suffix, route):
    path = tmp_path / f"m{suffix}"
    report, expected = uk.run_on(backend, _export_bare, Bare, str(path))
    assert report["artifacts"][0]["route"] == route
    np.testing.assert_allclose(uk.load_artifact(path).predict(np.ones((4, 3))), expected, rtol=1e-4)
