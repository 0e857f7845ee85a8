"""uk.callbacks.TensorBoard and SummaryWriter: what the tensorboard package reads of their files without TensorFlow."""

from __future__ import annotations

import gzip
import json
import os
import warnings

import keras
import numpy as np
import pytest
from helpers import event_files
from keras import ops

import unikeras as uk
from unikeras.callbacks import SummaryWriter, TensorBoard

pytestmark = pytest.mark.usefixtures("backend")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(96, 4)).astype("float32")
Y = (X[:, :1] > 0).astype("float32")
EPOCHS, STEPS = 3, 6  # 16 rows a batch


def make(kind=uk.Model):
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,), name="x")
    inner = keras.Sequential([keras.Input((8,)), keras.layers.Dense(3, name="deep")], name="inner")
    x = keras.layers.BatchNormalization(name="norm")(keras.layers.Dense(8, "relu", name="first")(inputs))
    x = inner(keras.layers.Dropout(0.3, name="drop")(x))
    model = kind(inputs, keras.layers.Dense(1, name="last")(x))
    optimizer = keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.9))
    model.compile(optimizer, "mse", metrics=["mae"])
    return model


def fit(model, *callbacks, **options):
    options = {"epochs": EPOCHS, "batch_size": 16, "verbose": 0, "shuffle": False, **options}
    return model.fit(X, Y, validation_data=(X[:32], Y[:32]), callbacks=list(callbacks), **options)


def everything(folder):
    return TensorBoard(
        folder,
        update_freq=4,
        histogram_freq=2,
        write_images=True,
        gradients=True,
        activations=True,
        sample=(X[:8], Y[:8]),
        hparams={"rate": 0.1, "name": "sgd", "on": True},
    )


class Stop(keras.callbacks.Callback):
    """Leaves a run in an epoch, as a kill does."""

    def __init__(self, epoch, batch):
        super().__init__()
        self.at, self.epoch = (epoch, batch), 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == self.at:
            raise InterruptedError


def check_curve(points, first, values):
    """Compare a curve with values at steps from a first one on."""
    assert [step for step, _ in points] == list(range(first, first + len(values)))
    np.testing.assert_allclose([value for _, value in points], values, rtol=1e-5)


def _own_loop(folder):
    with SummaryWriter(folder) as writer:
        for step in range(3):
            writer.add_scalar("loss", ops.convert_to_tensor(1.0 / (step + 1)), step)
        writer.add_scalar("loss", float("nan"), 3)
        writer.add_scalar("spaced out/ü$", keras.Variable(2.0), 0)
        writer.add_scalars("both", {"a": 1, "b": np.float64(2)}, 0)
        writer.add_histogram("weights", ops.ones((2, 3)), 0)
        writer.add_histogram("weights", np.array([np.nan, np.inf, 1e300, 1.0]), 1)
        writer.add_histogram("weights", np.zeros((0, 3)), 2)
        writer.add_image("picture", ops.ones((3, 5, 7)), 0)
        writer.add_images("pictures", np.full((2, 5, 7, 1), np.nan), 0, dataformats="NHWC")
        writer.add_text("note", "**bold**", 0)
        writer.add_graph(make())
        writer.add_hparams({"rate": 0.1}, {"result": 0.5}, run_name="trial")
        writer.add_embedding(ops.ones((3, 2)), ["a", "b", "c\t\n"], np.ones((3, 1, 4, 4)), 5, 'w/"x')
    return folder


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """Return the root of all runs, what is read of them, and the histories of the fits."""
    root = tmp_path_factory.mktemp("logs")
    histories = {
        "unikeras": fit(make(), everything(root / "unikeras")).history,
        "keras": fit(make(keras.Model), everything(root / "keras")).history,
    }
    _own_loop(root / "loop")
    killed, resumed = (
        TensorBoard(root / "resumed", update_freq=1),
        TensorBoard(root / "resumed", update_freq=1),
    )
    with pytest.raises(InterruptedError):
        fit(make(), killed, Stop(2, 3))
    resumed.restore({"step": 2 * STEPS - 1})  # a checkpoint in the middle of the second epoch
    histories["resumed"] = fit(make(), resumed, initial_epoch=1).history
    make().evaluate(X, Y, verbose=0, callbacks=[TensorBoard(root / "evaluated")])
    return root, event_files.read(root), histories


@pytest.mark.parametrize("kind", ["unikeras", "keras"])
def test_scalars_of_a_fit(watched, kind):
    _, runs, histories = watched
    train, validation = runs[f"{kind}/train"]["scalars"], runs[f"{kind}/validation"]["scalars"]
    history = histories[kind]
    for name in ("loss", "mae"):
        check_curve(train[f"epoch_{name}"], 0, history[name])
        check_curve(validation[f"epoch_{name}"], 0, history[f"val_{name}"])
        assert [step for step, _ in train[f"batch_{name}"]] == [4, 8, 12, 16]
    rates = [0.1 * 0.9 ** (STEPS * (epoch + 1)) for epoch in range(EPOCHS)]
    check_curve(train["epoch_learning_rate"], 0, rates)
    assert all(speed > 0 for _, speed in train["epoch_steps_per_second"])


def test_both_fits_write_the_same(watched):
    _, runs, _ = watched
    for run in ("train", "validation", "."):
        ours, theirs = runs[f"unikeras/{run}".removesuffix("/.")], runs[f"keras/{run}".removesuffix("/.")]
        assert {kind: set(ours[kind] or ()) for kind in ours} == {
            kind: set(theirs[kind] or ()) for kind in theirs
        }


def test_histograms_pictures_and_text_of_a_fit(watched):
    train = watched[1]["unikeras/train"]
    weights = {
        weight.path: int(np.prod(weight.shape)) for weight in make().weights if "seed" not in weight.path
    }
    for path, size in weights.items():
        assert train["histograms"][f"{path}/histogram"] == [[0, size], [2, size]]
        assert [step for step, *_ in train["images"][f"{path}/image"]] == [0, 2]
    assert {tag for tag in train["histograms"] if tag.endswith("gradient")} == {
        f"{variable.path}/gradient" for variable in make().trainable_variables
    }
    assert {"first/activation", "inner/deep/activation", "drop/activation"} <= set(train["histograms"])
    assert "BatchNormalization" in train["texts"]["model/text_summary"][0]
    assert "hparams" in watched[1]["unikeras"]["plugins"]
    assert len(watched[1]["unikeras"]["scalars"]["hparams/val_loss"]) == EPOCHS


def test_the_graph_has_a_node_for_each_layer(watched):
    for run in ("unikeras/train", "loop"):
        assert watched[1][run]["graph"] == {
            "x": ["InputLayer"],
            "first": ["Dense", "x"],
            "norm": ["BatchNormalization", "first"],
            "drop": ["Dropout", "norm"],
            "inner/input_layer": ["InputLayer", "drop"],
            "inner/deep": ["Dense", "inner/input_layer"],
            "last": ["Dense", "inner/deep"],
        }


def test_watching_changes_nothing(watched):
    assert fit(make()).history == watched[2]["unikeras"]


def test_a_resumed_run_goes_on(watched):
    scalars = watched[1]["resumed/train"]["scalars"]
    assert [step for step, _ in scalars["epoch_loss"]] == [0, 1, 2]
    check_curve(scalars["epoch_loss"][1:], 1, watched[2]["resumed"]["loss"])
    # What the killed run did after the checkpoint is dropped; the resumed one did two epochs.
    assert [step for step, _ in scalars["batch_loss"]] == list(range(1, 2 * STEPS + 2 * STEPS))


def test_values_of_a_loop(watched):
    loop = watched[1]["loop"]
    check_curve(loop["scalars"]["loss"], 0, [1.0, 0.5, 1 / 3, np.nan])
    assert loop["scalars"]["spaced_out/ü_"] == [(0, 2.0)]
    assert watched[1]["loop/both_b"]["scalars"] == {"both": [(0, 2.0)]}
    assert loop["histograms"]["weights"] == [[0, 6], [1, 2], [2, 0]]
    assert loop["images"] == {"picture": [[0, 5, 7]], "pictures": [[0, 5, 14]]}
    assert loop["texts"]["note/text_summary"] == ["**bold**"]
    assert watched[1]["loop/trial"]["scalars"] == {"result": [(0, 0.5)]}


def test_an_embedding_of_a_loop(watched):
    folder = watched[0] / "loop"
    (entry,) = (folder / "projector_config.pbtxt").read_text().splitlines()
    assert r'tensor_name: "w/_x:00005"' in entry
    assert (folder / "00005" / "w%2F_x" / "tensors.tsv").read_text() == "1.0\t1.0\n" * 3
    assert (folder / "00005" / "w%2F_x" / "metadata.tsv").read_text() == "a\nb\nc\n"


def test_evaluate_alone(watched):
    assert set(watched[1]["evaluated/validation"]["scalars"]) == {
        "evaluation_loss_vs_iterations",
        "evaluation_mae_vs_iterations",
    }


def test_tables_of_embedding_layers(tmp_path):
    model = keras.Sequential(
        [keras.Input((2,)), keras.layers.Embedding(5, 3, name="words"), keras.layers.Flatten()]
    )
    model.compile("sgd", "mse")
    (tmp_path / "words.tsv").write_text("a\nb\nc\nd\ne\n")
    callback = TensorBoard(tmp_path, embeddings_freq=2, embeddings_metadata={"words": "words.tsv"})
    x = np.zeros((4, 2), "int32")
    model.fit(x, np.zeros((4, 6)), epochs=3, verbose=0, callbacks=[callback])
    assert len((tmp_path / "train" / "projector_config.pbtxt").read_text().splitlines()) == 2
    assert (tmp_path / "train/00002/words/metadata.tsv").read_text() == "a\nb\nc\nd\ne\n"
    unknown = TensorBoard(tmp_path, embeddings_freq=1, embeddings_metadata={"nouns": "words.tsv"})
    with pytest.raises(uk.errors.ArgumentValueError, match=r"'nouns'.*are 'words'"):
        model.fit(x, np.zeros((4, 6)), verbose=0, callbacks=[unknown])


def test_a_profile_has_the_steps(tmp_path):
    fit(make(), TensorBoard(tmp_path, profile_batch=(3, 4), write_graph=False), epochs=1)
    files = [path for path in (tmp_path / "train" / "plugins" / "profile").rglob("*") if path.is_file()]
    contents = b"".join(
        gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes() for path in files
    )
    assert files
    assert b"train" in contents
    for path in files:
        if path.name.endswith("trace.json"):  # it is JSON
            names = {event.get("name") for event in json.loads(path.read_text())["traceEvents"]}
            assert {"train#3", "train#4"} <= names
            assert not {"train#2", "train#5"} & names


def test_a_profile_of_a_loop(tmp_path):
    with uk.training.profile(tmp_path) as profile, profile.step(7):
        ops.convert_to_numpy(ops.ones((4, 4)) @ ops.ones((4, 4)))
    assert any(path.is_file() for path in (tmp_path / "plugins" / "profile").rglob("*"))


class Heard(keras.callbacks.Callback):
    """Wants every third batch."""

    def __init__(self):
        super().__init__()
        self.batches = []

    def hears(self, begin, end):
        return end % 3 == 2

    def on_train_batch_end(self, batch, logs=None):
        self.batches.append(batch)


def test_callbacks_are_told_of_the_batches_they_want():
    alone, beside = Heard(), Heard()
    fit(make(), alone, epochs=1)
    fit(make(), beside, keras.callbacks.LambdaCallback(), epochs=1)
    assert alone.batches == [2, 5]
    assert beside.batches == list(range(STEPS))


def test_several_steps_per_execution(tmp_path):
    model = make()
    model.compile("sgd", "mse", steps_per_execution=4)
    fit(model, callback := TensorBoard(tmp_path, update_freq=2))
    assert callback.state == {"step": EPOCHS * STEPS}


class NotAGraph(uk.Model):
    def __init__(self):
        super().__init__()
        self.first, self.last = keras.layers.Dense(4, name="first"), keras.layers.Dense(1, name="last")

    def call(self, x):
        return self.last(ops.tanh(self.first(x)) + x)


def test_the_graph_of_a_subclass(tmp_path):
    from unikeras.callbacks._model_graph import graph_def

    model = NotAGraph()
    model(X[:2])
    nodes = {node.name: list(node.input) for node in graph_def(model, X[:2]).node}
    assert nodes["first"] == [next(name for name in nodes if "input" in name)]
    assert len(nodes) == 5
    assert [node.name for node in graph_def(model).node] == ["first", "last"]
    with pytest.raises(uk.errors.ArgumentValueError, match="not built"):
        graph_def(NotAGraph())


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"update_freq": "step"}, uk.errors.ArgumentValueError, "'epoch', 'batch' or a number"),
        ({"update_freq": 0}, uk.errors.ArgumentValueError, "from 1"),
        ({"histogram_freq": 1.5}, uk.errors.ArgumentError, "whole number"),
        ({"histogram_freq": -1}, uk.errors.ArgumentValueError, "from 0"),
        ({"gradients": True}, uk.errors.ArgumentValueError, "histogram_freq=1"),
        ({"gradients": True, "histogram_freq": 1}, uk.errors.ArgumentValueError, r"sample=\(x, y\)"),
        ({"sample": X}, uk.errors.ArgumentError, "sample must be"),
        ({"hparams": {"a": [1]}}, uk.errors.ArgumentError, "'a' is a list"),
        ({"profile_batch": (5, 2)}, uk.errors.ArgumentValueError, r"received \(5, 2\)"),
    ],
)
def test_arguments_that_mean_nothing(arguments, error, message):
    with pytest.raises(error, match=message):
        TensorBoard("logs", **arguments)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda writer: writer.add_scalar(3, 1.0), "must be a str"),
        (lambda writer: writer.add_scalar("/", 1.0), "no letter"),
        (lambda writer: writer.add_scalar("a", [1.0, 2.0]), r"shape \(2,\)"),
        (lambda writer: writer.add_scalar("a", "1"), "dtype"),
        (lambda writer: writer.add_scalar("a", None), "dtype object"),
        (lambda writer: writer.add_histogram("a", ["b"]), "dtype"),
        (lambda writer: writer.add_image("a", np.ones((4, 4))), "dataformats"),
        (lambda writer: writer.add_image("a", np.ones((2, 4, 4))), "1, 3 or 4 channels"),
        (lambda writer: writer.add_image("a", np.ones((3, 0, 4))), "pixels"),
        (lambda writer: writer.add_text("a", 3), "takes a str"),
        (lambda writer: writer.add_graph(3), r"takes a keras\.Model"),
        (lambda writer: writer.add_embedding(np.ones(3)), "points, dimensions"),
        (lambda writer: writer.add_embedding(np.ones((3, 2)), ["a"]), "3 points and 1 labels"),
        (lambda writer: writer.add_hparams({"a": object()}, {}), "'a' is a object"),
    ],
)
def test_values_that_cannot_be_shown(tmp_path, call, message):
    with SummaryWriter(tmp_path) as writer, pytest.raises(uk.errors.UnikerasError, match=message):
        call(writer)


def test_a_closed_writer_says_so(tmp_path):
    writer = SummaryWriter(tmp_path)
    writer.close()
    with pytest.raises(uk.errors.StateError, match="is closed"):
        writer.add_scalar("a", 1)


class Spoil(keras.callbacks.Callback):
    """Takes the folder of validation away while the first epoch trains, and goes to another folder."""

    def __init__(self, folder, other):
        super().__init__()
        self.folder, self.other = folder, other

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 0:
            (self.folder / "validation").write_text("")
            os.chdir(self.other)


def test_what_fails_in_a_training_is_a_warning(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").mkdir()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(
            make(),
            TensorBoard("logs", write_graph=False),
            Spoil(tmp_path / "logs", tmp_path / "other"),
            epochs=2,
        )
    assert [str(one.message).rpartition("; ")[2] for one in caught if "log_dir" in str(one.message)] == [
        "training goes on, without the run 'validation'"
    ]
    assert list((tmp_path / "other").iterdir()) == []


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "logs").write_text("mine")
    for folder in (tmp_path / "logs", tmp_path / "logs" / "below", "s3://bucket/logs"):
        with pytest.raises(uk.errors.OutputError, match="log_dir"):
            SummaryWriter(folder)
        with pytest.raises(uk.errors.OutputError, match="log_dir"):
            fit(make(), TensorBoard(folder), epochs=1)
    assert (tmp_path / "logs").read_text() == "mine"
