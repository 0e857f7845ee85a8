"""`uk.interop.TorchModule` inside a Keras model: trained here, loaded elsewhere, exported."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import unikeras as uk
from unikeras import backends

torch = pytest.importorskip("torch")
HERE = keras.backend.backend()
# A file of PyTorch goes to the others, and theirs to PyTorch.
THERE = [name for name in backends.available() if name != HERE and "torch" in (name, HERE)]
X = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")


@pytest.fixture(scope="module")
def trained():
    torch.manual_seed(0)
    keras.utils.set_random_seed(0)
    nn = torch.nn
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 4))
    inputs = keras.Input((3,), name="x")
    layer = uk.interop.TorchModule(module, name="inner", verify=False)
    model = keras.Model(inputs, keras.layers.Dense(2)(layer(inputs)), name="net")
    before = np.array(keras.ops.convert_to_numpy(layer.named_variables["1.running_mean"]))
    model.compile(keras.optimizers.SGD(0.1), "mse")
    losses = model.fit(X, X[:, :2], batch_size=4, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    after = keras.ops.convert_to_numpy(layer.named_variables["1.running_mean"])
    assert not np.array_equal(after, before)
    return model


def _loaded_answer(path, x):
    import keras
    import numpy as np

    import unikeras as uk

    assert uk.interop.TorchModule
    return np.asarray(keras.saving.load_model(path).predict(x, verbose=0))


@pytest.mark.parametrize("there", THERE)
def test_a_file_loads_on_another_backend_in_safe_mode(trained, there, tmp_path):
    path = str(tmp_path / "net.keras")
    trained.save(path)
    np.testing.assert_allclose(
        uk.run_on(there, _loaded_answer, path, X), trained.predict(X, verbose=0), rtol=1e-5, atol=1e-6
    )


def test_an_export_has_the_numbers_of_the_trained_module(trained, tmp_path):
    (artifact,) = uk.export_model(trained, tmp_path / "net.pt", "torchscript", verify=False).artifacts
    assert artifact.route == "torch lowering"
    found = uk.load_artifact(tmp_path / "net.pt").predict(X)
    np.testing.assert_allclose(found, trained.predict(X, verbose=0), rtol=1e-5, atol=1e-6)


def test_several_outputs_are_exported_in_keras_order(tmp_path):
    class Two(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = torch.nn.Linear(3, 2)

        def forward(self, x):
            return {"wide": self.fc(x), "mean": (x.mean(-1), [x * 2])}

    inputs = keras.Input((3,), name="x")
    outputs = uk.interop.TorchModule(Two(), verify=False)(inputs)
    model = keras.Model(inputs, [outputs["wide"], outputs["mean"][0], outputs["mean"][1][0]])
    (artifact,) = uk.export_model(model, tmp_path / "two.pt", "torchscript").artifacts
    assert artifact.route == "torch lowering"
    assert artifact.verified_at


def test_an_export_leaves_the_program_of_a_file_as_it_was(trained, tmp_path):
    path = tmp_path / "net.pt"
    uk.export_model(trained, path, "torchscript", verify=False)
    trained.save(tmp_path / "net.keras")
    loaded = keras.saving.load_model(tmp_path / "net.keras")
    np.testing.assert_allclose(
        loaded.predict(X, verbose=0), trained.predict(X, verbose=0), rtol=1e-5, atol=1e-6
    )
