"""Private names of Keras and of the frameworks: each that the package uses is pinned, and all that moved are shown."""

from __future__ import annotations

import ast
import importlib
import sys
import tomllib
from pathlib import Path

import keras
import pytest

import unikeras as uk
from unikeras._keras import hooks

sys.path.insert(0, str(Path(__file__).parent))
import private_names

sys.path.pop(0)

PACKAGE = Path(uk.__file__).parent
TABLE = tomllib.loads((Path(__file__).parent / "private_names.toml").read_text())
OF_OBJECTS = TABLE.pop("objects")


def _objects():
    """Return objects of this backend by the names that the table has for them."""
    inputs = keras.Input((3, 4))
    recurrent = keras.layers.LSTM(4, return_sequences=True)
    attention = keras.layers.MultiHeadAttention(1, 2)
    grouped = keras.layers.GroupQueryAttention(2, 2, 1)
    x = recurrent(inputs)
    x = attention(x, x)
    model = keras.Model(inputs, grouped(x, x))
    model.compile(keras.optimizers.SGD(use_ema=True), "mse")
    model.optimizer.build(model.trainable_variables)
    adam = keras.optimizers.Adam(amsgrad=True)
    adam.build(model.trainable_variables)
    model._symbolic_build(data_batch=(keras.ops.ones((1, 3, 4)), keras.ops.ones((1, 3, 4))))
    from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter
    from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter
    from keras.src.trainers.epoch_iterator import EpochIterator

    return {
        "layer": recurrent,
        "attention": attention,
        "grouped attention": grouped,
        "model": model,
        "optimizer": model.optimizer,
        "adam": adam,
        "variable": recurrent.cell.kernel,
        "tensor": inputs,
        "epochs": EpochIterator(keras.ops.convert_to_numpy(keras.ops.ones((2, 1)))),
        "array adapter": ArrayDataAdapter(keras.ops.convert_to_numpy(keras.ops.ones((2, 1)))),
        "dataset adapter": PyDatasetAdapter,
        **_native_objects(),
    }


def _native_objects():
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf
        from tensorflow.python.eager import context

        tf.random.set_seed(7)  # the context has no seed until somebody sets one
        tape = tf.GradientTape()
        concrete = tf.function(tf.identity).get_concrete_function(tf.TensorSpec(()))
        converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
        accumulator = tf.autodiff.ForwardAccumulator([tf.ones(())], [tf.ones(())])
        return {
            "tf tape": tape,
            "tf accumulator": accumulator,
            "tf program": concrete,
            "tf converter": converter,
            "tf context": context.context(),
            "tf variable": tf.Variable(1.0),
        }
    if keras.backend.backend() == "torch":
        import torch
        from torch.fx.experimental.symbolic_shapes import ShapeEnv

        tensor = torch.ones((), requires_grad=True)
        return {
            "torch tensor": tensor,
            "torch node": (tensor * 2).grad_fn,
            "torch storage": tensor.untyped_storage(),
            "torch symbol": ShapeEnv().create_unbacked_symint().node,
            "torch operators": torch.ops.aten,
            "torch operator": torch.ops.aten.add.Tensor,
            "torch loops": importlib.import_module("keras.src.backend.torch.rnn"),
        }
    return {}


def _sections():
    backend = keras.backend.backend()
    return [TABLE[name] for name in ("keras", f"keras on {backend}", backend)]


def _described(describe, name):
    try:
        return describe(name)
    except (ImportError, AttributeError) as error:
        return f"gone: {error}"


def test_names_are_what_they_were():
    """A line for each that moved: in a new release look at all of them at once."""
    uk.testing.uninstall_hooks()  # what earlier tests have replaced is not Keras'
    wanted = {name: kind for section in _sections() for name, kind in section.items()}
    found = {name: _described(private_names.describe, name) for name in wanted}
    assert found == wanted


def test_attributes_of_objects_are_what_they_were():
    objects = _objects()
    wanted = {name: (of, kind) for name, (of, kind) in OF_OBJECTS.items() if of in objects}

    def describe(name):
        of = wanted[name][0]
        return of, private_names.describe_value(getattr(objects[of], name.removeprefix(".")))

    assert {name: _described(describe, name) for name in wanted} == wanted


def test_every_private_name_in_use_is_in_the_table():
    known = set(OF_OBJECTS).union(*TABLE.values())
    used = private_names.used(PACKAGE) | {hook.attribute: {"_keras/hooks.py"} for hook in hooks.TABLE}
    assert {name: files for name, files in used.items() if name not in known} == {}


def test_the_table_has_no_name_that_is_not_in_use():
    used = set(private_names.used(PACKAGE)) | {hook.attribute for hook in hooks.TABLE}
    assert set(OF_OBJECTS).union(*TABLE.values()) - used == set()


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (
            "from keras.src.models import functional\nfunctional.Functional",
            "keras.src.models.functional.Functional",
        ),
        ("from torch.utils import _pytree as tree\ntree.tree_map(f, x)", "torch.utils._pytree.tree_map"),
        ("import torch\ntorch._VF.lstm(x)", "torch._VF.lstm"),
        (
            'from keras.src.utils import tf_utils\nwith patched(tf_utils, "f", g): pass',
            "keras.src.utils.tf_utils.f",
        ),
        (
            "import tensorflow as tf\nfrom tensorflow.python.eager import record",
            "tensorflow.python.eager.record",
        ),
        ("def f(layer):\n    return layer._inbound_nodes", "._inbound_nodes"),
    ],
)
def test_private_names_are_found_in_source(source, name):
    assert name in set(private_names._names(ast.parse(source), set()))


# Files outside _keras/ and backends/ that name modules of keras.src.
_EXCEPTIONS = {
    "lowering/rules/_activations.py": "a rule is registered for a class of operations, and these are in keras.src only",
    "lowering/rules/_ops.py": "as above",
    "lowering/rules/_ops_axes.py": "as above",
    "lowering/rules/_applications.py": "the layers of keras.applications.ConvNeXt are in keras.src only",
    "export/writers/tf2onnx.py": "Keras' own repairs of tf2onnx",
    "export/writers/_data_layers.py": "replaced while a model is written",
    "export/writers/_litert_rewrites.py": "replaced while a model is written",
    "_graphs.py": "part of _keras, in a place of its own",
    "_lazy.py": "as above",
    "_scopes.py": "as above",
}


def test_keras_src_is_named_in_few_places():
    files = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        for name in dict(private_names._imported(ast.parse(path.read_text()))).values()
        if name.startswith("keras.src.")
    }
    assert {name for name in files if not name.startswith(("_keras/", "backends/"))} - set(
        _EXCEPTIONS
    ) == set()
