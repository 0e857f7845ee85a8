"""Artifacts of steps: names, metadata, the chunks in which they take a sequence, and what is refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import unikeras as uk
from unikeras import cli
from unikeras._keras.discovery import inputs_of
from unikeras._keras.samples import ranges
from unikeras._specs.states import StateSpec, nested
from unikeras.errors import (
    ArgumentError,
    ArgumentValueError,
    ExportError,
    ExportMismatch,
    SignatureError,
    StateError,
)
from unikeras.export import Artifact, Signature, TensorSpec
from unikeras.export import _export_model as _export
from unikeras.export._offers import usable_writers
from unikeras.export.reference.artifact_state import ArtifactState
from unikeras.export.request.format_table import FORMATS
from unikeras.export.writers.tflite_converter import can_unroll

OFFERS = {row.format: row for row in uk.export_formats()}
AVAILABLE = [name for name in FORMATS if OFFERS[name].available]
UNITS = 5
STATES = tuple(StateSpec("lstm", name, (UNITS,), "float32") for name in "hc")
INPUTS = ["x", "state/lstm/h", "state/lstm/c"]
OUTPUTS = ["y", "state_out/lstm/h", "state_out/lstm/c"]


@dataclasses.dataclass
class Step:
    """A hand-wired step, right or wrong."""

    model: object
    name: str = "counter"
    states: tuple = STATES
    fingerprint: str = "f" * 64
    sequence_inputs: tuple = (True,)
    sequence_outputs: tuple = (True,)
    results: int = 0

    def initial_state(self, batch_size):
        import keras

        return nested(self.states, [keras.ops.zeros((batch_size, *spec.shape)) for spec in self.states])


def _step(wire=lambda h, c, h_in, c_in: (h, c), outputs=OUTPUTS):
    import keras
    from keras import layers

    keras.utils.set_random_seed(5)
    x, h, c = (
        keras.Input(shape, name=name) for shape, name in [((None, 3), "x"), ((UNITS,), "h"), ((UNITS,), "c")]
    )
    recurrent = layers.LSTM(UNITS, return_sequences=True, return_state=True, name="lstm", use_cudnn=False)
    y, *after = recurrent(x, initial_state=[h, c])
    values = (layers.Dense(2)(y), *wire(*after, h, c))
    inputs = dict(zip(INPUTS, (x, h, c), strict=True))
    return Step(keras.Model(inputs, dict(zip(outputs, values, strict=True)), name="counter"))


def _crossed(h, c, h_in, c_in):
    return c, h


def _forgotten(h, c, h_in, c_in):
    return h_in * 1.0, c


pytestmark = pytest.mark.filterwarnings("ignore:When providing `inputs` as a dict:UserWarning")


@pytest.fixture(scope="module", params=AVAILABLE or [None])
def exported(request, tmp_path_factory):
    """A step, an artifact of it in each format that can be written here, and the report's row; or None."""
    if request.param is None:
        pytest.skip("no format can be written with this backend alone")
    step = _step()
    path = tmp_path_factory.mktemp("steps") / f"m{FORMATS[request.param].suffix}"
    (row,) = uk.export_model(step, path).artifacts
    return step, path, row


def _x(length, batch=2, seed=0):
    return np.random.default_rng(seed).normal(size=(batch, length, 3)).astype("float32")


def _by_keras(step, x, state):
    values = [x, state["lstm"]["h"], state["lstm"]["c"]]
    result = step.model.predict(dict(zip(INPUTS, values, strict=True)), verbose=0)
    return [np.asarray(result[name]) for name in OUTPUTS]


def test_names_come_in_order_and_are_those_of_the_contract(exported):
    artifact = uk.load_artifact(exported[1])
    assert artifact.signature.input_names == INPUTS
    assert artifact.signature.output_names == OUTPUTS
    assert [spec.shape[0] for spec in artifact.signature.inputs] == [None] * 3


def test_only_litert_fixes_the_time_and_says_so(exported):
    _, path, row = exported
    x, h, _ = uk.load_artifact(path).signature.inputs
    if row.format == "litert":
        assert (x.shape, h.shape) == ((None, 1, 3), (None, UNITS))
        assert any("one step at a time" in remark for remark in row.remarks)
        assert not any("one example" in remark for remark in row.remarks)
    else:
        assert x.dynamic == {0: "batch", 1: "time"}
        assert not any("one step" in remark for remark in row.remarks)


def test_metadata_holds_the_memory(exported):
    artifact = uk.load_artifact(exported[1])
    assert (artifact.states, artifact.fingerprint, artifact.sequence_outputs) == (STATES, "f" * 64, (True,))
    assert artifact.metadata["memory"]["states"][0] == STATES[0].to_dict()


@pytest.mark.parametrize("lengths", [(40,), (1, 7, 32), (1,) * 40])
def test_chunks_give_what_the_model_gives_at_once(exported, lengths):
    step, path, _ = exported
    artifact, x = uk.load_artifact(path), _x(40)
    state = artifact.initial_state(2)
    expected = _by_keras(step, x, state)
    parts = []
    for start, length in zip(np.cumsum((0, *lengths)), lengths, strict=False):
        y, state = artifact.step(x[:, start : start + length], state)
        assert isinstance(y, np.ndarray)
        parts.append(y)
    received = [np.concatenate(parts, 1), state["lstm"]["h"], state["lstm"]["c"]]
    for one, other in zip(received, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_a_memory_of_one_batch_size_after_the_other(exported):
    """Runtimes plan for the shapes that they have seen."""
    step, path, _ = exported
    artifact = uk.load_artifact(path)
    for batch, length in [(1, 1), (4, 3), (2, 1), (1, 5)]:
        x, state = _x(length, batch, seed=batch), artifact.initial_state(batch)
        np.testing.assert_allclose(
            artifact.step(x, state)[0], _by_keras(step, x, state)[0], rtol=1e-5, atol=1e-5
        )


def test_inspect_shows_the_memory(exported):
    _, path, _ = exported
    shown = CliRunner().invoke(cli.commands, ["inspect", str(path)], prog_name="unikeras")
    assert f"memory of model {'f' * 12}" in shown.stdout
    assert f"lstm/c: float32 (batch, {UNITS})" in shown.stdout
    data = json.loads(CliRunner().invoke(cli.commands, ["inspect", str(path), "--json"]).stdout)
    assert data["memory"]["states"] == [spec.to_dict() for spec in STATES]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A saved recurrent model."""
    import keras

    path = tmp_path_factory.mktemp("saved") / "counter.keras"
    stack = [keras.Input((None, 3)), keras.layers.GRU(4, return_sequences=True, name="gru")]
    keras.Sequential(stack, name="other").save(path)
    return path


def test_the_command_writes_steps(saved, tmp_path):
    if _cheapest() is None:
        return
    arguments = ["export", str(saved), "--to", _cheapest(), "--out", str(tmp_path), "--stateful"]
    result = CliRunner().invoke(cli.commands, arguments, prog_name="unikeras")
    assert result.exit_code == 0, result.output
    artifact = uk.load_artifact(tmp_path / f"counter{FORMATS[_cheapest()].suffix}")
    assert artifact.signature.input_names == ["x", "state/gru/h"]
    assert artifact.initial_state(2)["gru"]["h"].shape == (2, 4)


def _cheapest():
    return next((name for name in ("onnx", "saved_model") if name in AVAILABLE), None)


needs_a_format = pytest.mark.skipif(
    _cheapest() is None, reason="no format can be written with this backend alone"
)


def _first_route():
    return usable_writers(_cheapest(), uk.backend(), True)[0]


def _only(monkeypatch, route):
    monkeypatch.setattr(_export, "usable_writers", lambda *_: [route])


@needs_a_format
@pytest.mark.parametrize("wire", [_crossed, _forgotten])
def test_a_memory_wired_wrongly_is_no_export(tmp_path, monkeypatch, wire):
    """In one call the artifact equals this model; only the next chunk tells."""
    _only(monkeypatch, _first_route())
    path = tmp_path / f"m{FORMATS[_cheapest()].suffix}"
    with pytest.raises(ExportMismatch, match=r"over 12 steps in chunks of 1, 4, 7"):
        uk.export_model(_step(wire), path)
    assert not path.exists()


def _mutated(change):
    """Return the first route with `change(model, order)` made to what it writes."""
    route = _first_route()

    class Mutated(type(route)):
        def write(self, model, path, order):
            model, order = change(model, order)
            return super().write(model, path, order)

    mutated = object.__new__(Mutated)
    vars(mutated).update(vars(route))
    return mutated


def _crossing(model, order):
    return _step(_crossed).model, order


def _freezing(model, order):
    x, *states = order.signature.inputs
    frozen = dataclasses.replace(x, shape=(None, 8, 3), axes=("batch",))
    signature = dataclasses.replace(order.signature, inputs=(frozen, *states))
    return model, dataclasses.replace(order, signature=signature)


@needs_a_format
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_crossing, "'state_out/lstm/h' at batch 1"),
        (_freezing, "wrote a file that its runtime does not run"),
    ],
)
def test_a_toolchain_that_errs_is_no_export(tmp_path, monkeypatch, change, message):
    """One takes the states for each other, one takes the time for a constant."""
    path = tmp_path / f"m{FORMATS[_cheapest()].suffix}"
    _only(monkeypatch, _mutated(change))
    with pytest.raises(ExportError, match=message):
        uk.export_model(_step(), path)
    assert not path.exists()


@needs_a_format
def test_a_fixed_number_of_steps_is_repeated(tmp_path):
    import keras

    path, step = tmp_path / f"m{FORMATS[_cheapest()].suffix}", _step()
    uk.export_model(step, path, signature={"x": keras.InputSpec(shape=(None, 4, 3), dtype="float32")})
    artifact, x = uk.load_artifact(path), _x(12)
    y, _ = artifact.step(x, artifact.initial_state(2))
    np.testing.assert_allclose(y, _by_keras(step, x, artifact.initial_state(2))[0], rtol=1e-5, atol=1e-5)
    with pytest.raises(SignatureError, match=r"x received \[6\] steps; this artifact takes a multiple of 4"):
        artifact.step(x[:, :6], artifact.initial_state(2))


@needs_a_format
def test_without_a_memory_there_are_no_steps(tmp_path):
    import keras

    path = tmp_path / f"m{FORMATS[_cheapest()].suffix}"
    uk.export_model(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]), path)
    artifact = uk.load_artifact(path)
    assert "memory" not in artifact.metadata
    asked = (
        lambda: artifact.states,
        lambda: artifact.fingerprint,
        lambda: artifact.sequence_inputs,
        lambda: artifact.sequence_outputs,
        lambda: artifact.flatten_inputs(np.ones((1, 1, 3))),
        lambda: artifact.initial_state(1),
        lambda: artifact.step(np.ones((1, 1, 3)), {}),
    )
    for ask in asked:
        with pytest.raises(StateError, match=r"uk\.export_model\(uk\.stateful\(model\), path\)"):
            ask()


@needs_a_format
def test_a_sequence_begins_as_its_layers_begin(tmp_path):
    import keras

    step, path = _step(), tmp_path / f"m{FORMATS[_cheapest()].suffix}"
    begin = np.linspace(-1, 1, UNITS, dtype="float32")
    values = [keras.ops.zeros((1, UNITS)), keras.ops.convert_to_tensor(begin[None])]
    step.initial_state = lambda size: nested(STATES, values)
    uk.export_model(step, path)
    state = uk.load_artifact(path).initial_state(3)["lstm"]
    assert (state["h"].any(), state["c"].dtype) == (False, np.float32)
    np.testing.assert_array_equal(state["c"], np.stack([begin] * 3))


def test_a_step_whose_model_lacks_a_state_is_refused(tmp_path):
    step = _step()
    step.states = (*STATES, StateSpec("gru", "h", (2,), "float32"))
    with pytest.raises(
        ArgumentValueError, match="carries state/gru/h, state_out/gru/h, which its model neither"
    ):
        uk.export_model(step, tmp_path / "m.onnx")


def test_what_is_no_model_hears_of_both_kinds(tmp_path):
    with pytest.raises(ArgumentError, match=r"takes a keras.Model, or uk.stateful\(model\); received list"):
        uk.export_model([], tmp_path / "m.onnx")


class Summing(Artifact):
    """Adds up one input and counts the steps; another input, without a time, is a factor of an output."""

    format, worker = "onnx", None

    def __init__(self, chunk=None):
        inputs = (
            TensorSpec("x", (None, chunk, 2), "float32"),
            TensorSpec("factor", (None, 2), "float32"),
            TensorSpec("state/sum/h", (None, 2), "float32"),
            TensorSpec("state/a/b/0", (None, 1), "int32"),
        )
        outputs = (
            TensorSpec("sums", (None, chunk, 2), "float32"),
            TensorSpec("last", (None, 2), "float32"),
            TensorSpec("state_out/sum/h", (None, 2), "float32"),
            TensorSpec("state_out/a/b/0", (None, 1), "int32"),
        )
        states = StateSpec("sum", "h", (2,), "float32"), StateSpec("a/b", "0", (1,), "int32")
        memory = ArtifactState(states, "0", ("x",), (True, False), {"sums": 0, "last": 1})
        signature = Signature(inputs, outputs, list(range(4)), list(range(4)))
        note = {"signature": signature.to_dict(), "memory": memory.to_dict()}
        self._read(json.dumps(note), signature)
        self.runs = []

    @classmethod
    def missing(cls):
        return None

    def run(self, inputs):
        x, factor, total, count = inputs
        self.runs.append(x.shape[1])
        sums = total[:, None] + np.cumsum(x, 1)
        return [sums, sums[:, -1] * factor, sums[:, -1], count + x.shape[1]]


@pytest.mark.parametrize(("chunk", "runs"), [(None, [6]), (1, [1] * 6), (3, [3, 3]), (2, [2, 2, 2])])
def test_chunks_are_joined_where_there_is_a_time(chunk, runs):
    artifact = Summing(chunk)
    x, factor = np.arange(24.0).reshape(2, 6, 2), np.full((2, 2), 10.0)
    y, state = artifact.step({"factor": factor, "x": x}, artifact.initial_state(2))
    assert artifact.runs == runs
    np.testing.assert_array_equal(y["sums"], np.cumsum(x, 1))
    np.testing.assert_array_equal(y["last"], 10 * x.sum(1))
    np.testing.assert_array_equal(state["sum"]["h"], x.sum(1))
    np.testing.assert_array_equal(state["a/b"]["0"], [[6], [6]])
    assert state["a/b"]["0"].dtype == np.int32


def test_inputs_come_by_name_or_in_order():
    artifact = Summing()
    assert artifact.sequence_inputs == (True, False)
    assert artifact.flatten_inputs({"factor": 2, "x": 1}) == artifact.flatten_inputs([1, 2]) == [1, 2]
    with pytest.raises(SignatureError, match="expected the inputs x, factor; received names x"):
        artifact.flatten_inputs({"x": 1})


def test_a_memory_is_left_as_it_was():
    artifact = Summing(1)
    before = artifact.initial_state(1)
    artifact.step([np.ones((1, 3, 2)), np.ones((1, 2))], before)
    assert before["sum"]["h"].sum() == 0


@pytest.mark.parametrize("size", [0, -1, 2.0, "2", None])
def test_a_batch_size_is_a_number(size):
    with pytest.raises(ArgumentValueError, match="a batch size is a number of 1 or more; received"):
        Summing().initial_state(size)


@pytest.mark.parametrize(
    ("x", "batch", "message"),
    [
        (
            [np.ones((2, 0, 2)), np.ones((2, 2))],
            2,
            r"x received \[0\] steps; this artifact takes one or more",
        ),
        ([np.ones((2, 3, 5)), np.ones((2, 2))], 2, r"input x: float32 \(None, None, 2\) received shape"),
        (
            [np.ones((2, 3, 2)), np.ones((2, 2))],
            3,
            "of one batch size.*x has 2, factor has 2, state/sum/h has 3",
        ),
        ([np.ones((2, 3, 2))], 2, "expected the inputs x, factor; received 1 of them"),
        ([np.ones((2, 3, 2), complex), np.ones((2, 2))], 2, "received dtype complex128"),
    ],
)
def test_what_does_not_fit_is_refused(x, batch, message):
    artifact = Summing()
    with pytest.raises(SignatureError, match=message):
        artifact.step(x, artifact.initial_state(batch))


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({}, "lacks sum/h; lacks a/b/0"),
        (
            {"sum": {"h": np.zeros((2, 3))}, "a/b": {"0": np.zeros((2, 1), int)}},
            r"holds sum/h of shape \(2, 3\)",
        ),
        (None, "a state is {layer path"),
    ],
)
def test_another_memory_is_refused(state, message):
    with pytest.raises(SignatureError, match=message):
        Summing().step([np.ones((2, 3, 2)), np.ones((2, 2))], state)


def test_a_recurrence_of_one_step_is_unrolled_however_large_its_memory():
    x, h = TensorSpec("x", (None, 1, 3), "float32"), TensorSpec("state/lstm/h", (None, 512), "float32")
    signature = Signature((x, h), (), [0, 1], [])
    memory = ArtifactState((StateSpec("lstm", "h", (512,), "float32"),), "0", ("x",), (True,))
    assert can_unroll(signature, memory)
    assert not can_unroll(
        dataclasses.replace(signature, inputs=(dataclasses.replace(x, shape=(None, 999, 3)), h)), memory
    )


def test_only_tokens_are_drawn_from_the_vocabulary():
    """A memory of thousands closes every gate, and what is wrong behind them goes unseen."""
    import keras
    from keras import layers

    tokens, memory = keras.Input((None,), name="x"), keras.Input((4,), name="a")
    y = layers.GRU(4)(layers.Embedding(50, 3)(tokens), initial_state=memory)
    model = keras.Model({"x": tokens, "a": memory}, y)
    assert ranges(model, inputs_of(model)[1]) == [50, 0]


def test_a_memory_travels_as_json():
    memory = Summing().artifact_state
    assert ArtifactState.from_dict(json.loads(json.dumps(memory.to_dict()))) == memory


@needs_a_format
def test_the_names_in_the_file_are_those_of_the_contract(tmp_path):
    """As something else opens it: no metadata of ours is read."""
    if _cheapest() != "onnx":
        return
    onnxruntime = pytest.importorskip("onnxruntime")
    uk.export_model(_step(), tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(str(Path(tmp_path, "m.onnx")))
    assert [value.name for value in session.get_inputs()] == INPUTS
    assert [value.name for value in session.get_outputs()] == OUTPUTS
    assert session.get_inputs()[0].shape == ["batch", "time", 3]
    assert session.get_outputs()[0].shape[:2] == ["batch", "time"]  # after the runtime has seen the nodes
    assert [value.shape[0] for value in session.get_inputs() + session.get_outputs()] == ["batch"] * 6
