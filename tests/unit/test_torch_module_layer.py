"""`uk.interop.TorchModule` without torch: a stored program as a layer, on every backend."""

from __future__ import annotations

import json
import sys
import zipfile

import keras
import numpy as np
import pytest
from helpers.programs_by_hand import net
from keras import layers

import unikeras as uk
from unikeras.errors import (
    ArgumentError,
    ArgumentValueError,
    CorruptArtifact,
    UnsafeArtifact,
    WeightsMismatch,
)
from unikeras.interop import ImportedModule, TorchModule

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 3)).astype("float32")
Y = RNG.normal(size=(6, 2)).astype("float32")


def stored(**source):
    """A layer as a saved model has it."""
    program, arrays = net(drop=0.5)
    config = ImportedModule(program, arrays).get_config()
    source = {"builder": "", "program": config} | source
    layer = TorchModule.from_config({"name": "inner", "source": {"config": source}})
    if layer.named_variables and source["program"]:
        for name, value in arrays.items():
            if name in layer.named_variables:
                layer.named_variables[name].assign(value)
    return layer


def model_of(layer):
    inputs = keras.Input((3,), name="x")
    return uk.Model(inputs, layers.Activation("linear")(layer(inputs)))


def values(layer):
    return {name: np.array(keras.ops.convert_to_numpy(v)) for name, v in layer.named_variables.items()}


def test_a_stored_program_is_a_layer_that_trains_and_counts_in_training_only():
    layer = stored()
    model = model_of(layer)
    assert model.output_shape == (None, 2)
    assert layer.module is None
    before = values(layer)
    model.predict(X, verbose=0)
    assert all(np.array_equal(value, before[name]) for name, value in values(layer).items())
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(X, Y, batch_size=6, verbose=0)
    after = values(layer)
    assert after["count"] == before["count"] + 1
    assert not np.array_equal(after["fc.weight"], before["fc.weight"])
    assert np.array_equal(after["blocks.0.scale"], before["blocks.0.scale"])
    assert np.array_equal(after["tied.weight"], after["blocks.0.out.weight"])


def test_a_frozen_layer_stays_in_eval_mode():
    layer = stored()
    layer.trainable = False
    before = values(layer)
    np.testing.assert_array_equal(layer(X, training=True), layer(X, training=False))
    assert values(layer)["count"] == before["count"]
    assert layer.trainable_variables == []


def test_saved_and_loaded_in_safe_mode_with_the_state_of_the_optimizer(tmp_path):
    model = model_of(stored())
    model.compile("adam", "mse")
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.predict(X, verbose=0), model.predict(X, verbose=0), rtol=1e-6)
    for own, other in zip(model.optimizer.variables, loaded.optimizer.variables, strict=True):
        np.testing.assert_array_equal(own, other)
    model.save_weights(tmp_path / "model.weights.h5")
    again = model_of(stored())
    again.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_allclose(again.predict(X, verbose=0), model.predict(X, verbose=0), rtol=1e-6)


def test_the_file_has_the_program_as_data_and_the_weights_once(tmp_path):
    model_of(stored()).save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as opened:
        config = json.loads(opened.read("config.json"))
    (entry,) = [one for one in config["config"]["layers"] if one["class_name"] == "TorchModule"]
    program = json.loads(entry["config"]["source"]["config"]["program"]["program"])
    assert program["format"] == 1
    import h5py

    with zipfile.ZipFile(tmp_path / "model.keras") as opened, opened.open("model.weights.h5") as file:
        names: list[str] = []
        h5py.File(file).visit(names.append)
    assert [name for name in names if name.endswith("fc.weight")] == ["layers/torch_module/vars/fc.weight"]
    assert not any("imported" in name or "parts" in name for name in names)


def test_clones_have_the_numbers_and_memory_of_their_own():
    layer = stored()
    model = model_of(layer)
    clone = keras.models.clone_model(model)
    np.testing.assert_allclose(clone.predict(X, verbose=0), model.predict(X, verbose=0), rtol=1e-6)
    clone.layers[1].named_variables["fc.weight"].assign(np.zeros((4, 3)))
    assert np.any(values(layer)["fc.weight"])


def test_a_function_is_imported_only_where_code_may_run(tmp_path, monkeypatch):
    (tmp_path / "builds.py").write_text("ran = []\ndef net():\n    ran.append(1)\n    return 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    config = {"name": "inner", "source": {"config": {"builder": "builds:net", "program": None}}}
    with pytest.raises(UnsafeArtifact, match="safe_mode=False"):
        TorchModule.from_config(config)
    assert "builds" not in sys.modules
    with pytest.raises(ArgumentValueError, match="must return a torch"):
        TorchModule.from_config(config, safe_mode=False)
    assert sys.modules.pop("builds").ran == [1]


@pytest.mark.parametrize(
    "source",
    [None, {"config": 3}, {"config": {}}, {"config": {"program": 3}}, {"config": {"builder": "no function"}}],
)
def test_damage_is_an_error(source):
    with pytest.raises(CorruptArtifact, match="damaged"):
        TorchModule.from_config({"name": "inner", "source": source})


def test_what_is_no_module_is_refused():
    with pytest.raises(ArgumentError, match="Keras layer already"):
        TorchModule(layers.Dense(2))
    with pytest.raises(ArgumentError, match="received int"):
        TorchModule(3)
    with pytest.raises(ArgumentValueError, match="package:function"):
        TorchModule("no function")
    with pytest.raises(ArgumentValueError, match="no_such_package"):
        TorchModule("no_such_package:build")


def test_weights_that_do_not_fit_are_all_named():
    layer = stored()
    store = {name: value for name, value in values(layer).items() if name != "fc.bias"}
    store |= {"fc.weight": np.zeros((2, 2)), "other": np.zeros(3)}
    with pytest.raises(WeightsMismatch) as caught:
        layer.load_own_variables(store)
    for part in ("no value for fc.bias", "nothing is called other", "fc.weight has shape (2, 2)"):
        assert part in str(caught.value)


def test_a_state_dict_has_the_names_of_the_module():
    model = model_of(layer := stored())
    state = uk.interop.state_dict(model)
    assert set(state) == {f"inner.{name}" for name in layer.named_variables}
    changed = {name: value + 1 for name, value in state.items()}
    uk.interop.load_state_dict(model, changed)
    np.testing.assert_array_equal(values(layer)["fc.bias"], changed["inner.fc.bias"])


def test_mixed_precision_casts_the_outputs():
    layer = TorchModule.from_config({**stored().get_config(), "dtype": "mixed_bfloat16"})
    assert keras.backend.standardize_dtype(layer(X).dtype) == "bfloat16"
    assert layer.named_variables["fc.weight"].dtype == "float32"
    assert layer(keras.Input((3,))).dtype == "bfloat16"
