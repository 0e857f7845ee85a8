"""fit goes on from a checkpoint, in the middle of an epoch too, to the losses of the uninterrupted run, bit for bit."""

from __future__ import annotations

import contextlib
import itertools
import re
import signal
import warnings

import keras
import numpy as np
import pytest
from helpers.resumed_runs import (
    STEPS,
    Kill,
    folder_at,
    position_of,
    run,
)

import unikeras as uk
from unikeras.errors import (
    ArgumentError,
    ArgumentValueError,
    ArtifactNotFound,
    CorruptArtifact,
    DatasetError,
    OutputError,
    StateError,
)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """The uninterrupted run: its folder with a checkpoint of each batch, its rows, model and history."""
    folder = tmp_path_factory.mktemp("straight") / "run"
    rows = {}
    model, history = run(folder, rows)
    return folder, rows, model, history


# Where a run is killed: the newest checkpoint is of this epoch and batch.
PLACES = [
    (0, 0),  # before the first batch
    (0, 1),
    (0, STEPS),  # trained, and not validated
    (1, 0),  # between two epochs
    (1, 4),
    (2, 2),  # in the middle of accumulated gradients
    (3, STEPS - 1),  # before the smaller batch
    (4, 0),  # after the last epoch
]


@pytest.mark.rotated("place", parts=4)
@pytest.mark.parametrize("place", PLACES)
def test_a_run_goes_on_to_the_same_losses_and_weights(place, straight, tmp_path):
    folder, rows, model, history = straight
    rest = {}
    resumed, resumed_history = run(folder_at(folder, place, tmp_path / "run"), rest, seed=99)
    expected = [
        row for row in rows if row[0] > place[0] or (row[0] == place[0] and _comes_after(row, place[1]))
    ]
    assert list(rest) == expected
    assert rest == {row: rows[row] for row in expected}
    assert resumed_history.history == history.history
    assert resumed_history.epoch == history.epoch
    for one, other in zip(resumed.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def _comes_after(row, batch):
    return not isinstance(row[1], int) or row[1] >= batch


@pytest.mark.rotated("kills", parts=2)
@pytest.mark.parametrize("kills", [2, 10])
def test_a_run_that_is_killed_again_and_again_misses_nothing(kills, straight, tmp_path):
    rows, seen = straight[1], {}
    rng = np.random.RandomState(kills)
    order = list(rows)
    for number in range(kills):
        left = [row for row in order if row not in seen] or order[-1:]
        kill = left[min(rng.randint(1, 6), len(left) - 1)]
        with pytest.raises(Kill):
            run(
                tmp_path / "run",
                seen,
                seed=7 if number == 0 else 100 + number,
                kill=kill,
                every_steps=2,
                keep=1,
            )
    run(tmp_path / "run", seen, seed=98, every_steps=2, keep=1)
    assert seen == rows


def test_a_signal_in_a_validation_saves_there(straight, tmp_path):
    rows, first, rest = straight[1], {}, {}

    class Left(BaseException):
        pass

    class Signal(keras.callbacks.Callback):
        def on_test_batch_end(self, batch, logs=None):
            if batch == 1:
                signal.raise_signal(signal.SIGTERM)

    def leave(number, frame):
        raise Left

    before = signal.signal(signal.SIGTERM, leave)
    try:
        with pytest.raises(Left):
            run(tmp_path / "run", first, extra=[Signal()], every_steps=100)
        assert signal.getsignal(signal.SIGTERM) is leave
    finally:
        signal.signal(signal.SIGTERM, before)
    assert list(first)[-1] == (0, "val", 1)
    run(tmp_path / "run", rest, seed=99, epochs=1)
    assert list(rest) == [(0, "val", 2), (0, "val", 3), (0, "end")]
    assert first | rest == {row: rows[row] for row in rows if row[0] == 0}


class Small:
    """A model of one layer, whose fits cost little: for what does not depend on the model."""

    x, y = np.random.RandomState(0).randn(40, 3).astype("float32"), np.ones((40, 1), "float32")

    @staticmethod
    def model(optimizer="sgd", loss="mse", units=1, **options):
        model = uk.Model(inputs := keras.Input((3,)), keras.layers.Dense(units)(inputs))
        model.compile(optimizer, loss, **options)
        return model

    @classmethod
    def fit(cls, folder=None, model=None, **options):
        options = {"x": cls.x, "y": cls.y, "batch_size": 8, "verbose": 0, "resume": folder, **options}
        return (model or cls.model()).fit(**options)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder and the history of a small run of two epochs."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    return folder, Small.fit(folder, epochs=2)


@pytest.fixture
def folder(finished, tmp_path):
    return folder_at(finished[0], (2, 0), tmp_path / "run")


def test_a_finished_run_returns_at_once_with_its_history(finished, folder):
    class Trains(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            raise AssertionError

    history = Small.fit(folder, epochs=2, callbacks=[Trains()])
    assert history.history == finished[1].history
    assert history.epoch == [0, 1]


def test_more_epochs_train_further(finished, folder):
    history = Small.fit(folder, epochs=3)
    assert history.epoch == [0, 1, 2]
    assert history.history["loss"][:2] == finished[1].history["loss"]
    assert history.history["loss"][2] < history.history["loss"][1]


def test_fewer_epochs_than_were_run_restore_and_save_nothing(tmp_path):
    with pytest.raises(Kill), said():
        Small.fit(tmp_path, epochs=3, callbacks=[Rows([], 7), uk.callbacks.Checkpoint(tmp_path, 1)])
    files = sorted(tmp_path.iterdir())
    model = Small.model()
    before = model.get_weights()[0]
    with said():
        assert Small.fit(tmp_path, model=model, epochs=1, callbacks=[Rows([])]).epoch == [0]
    assert sorted(tmp_path.iterdir()) == files
    assert not np.array_equal(model.get_weights()[0], before)


def test_resume_knows_epochs_and_batch_size(finished, folder, tmp_path):
    assert uk.training.resume(Small.model(), folder, Small.x, Small.y, verbose=0).epoch == [0, 1]
    with pytest.raises(ArtifactNotFound, match="no checkpoint"):
        uk.training.resume(Small.model(), tmp_path / "missing", Small.x, Small.y)
    with pytest.raises(ArgumentError, match="from_keras"):
        uk.training.resume(keras.Sequential([keras.layers.Dense(1)]), folder, Small.x, Small.y)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"batch_size": 4}, "batch_size is 4 here and was 8"),
        ({"model": lambda: Small.model(units=2)}, "layers 1 config units is 2 here and was 1"),
        ({"model": lambda: Small.model("adam")}, "optimizer class is 'Adam' here and was 'SGD'"),
        ({"model": lambda: Small.model(keras.optimizers.SGD(momentum=0.5))}, "optimizer momentum is 0.5"),
        ({"model": lambda: Small.model(loss="mae")}, "loss is 'mae' here and was 'mse'"),
        ({"x": Small.x + 1}, "data 0 content"),
        ({"x": Small.x[:32], "y": Small.y[:32]}, "data 0 shape 0 is 32 here and was 40"),
        ({"sample_weight": np.ones(40)}, "data 2 is .* here and was None"),
        ({"shuffle": False}, "shuffle is False here and was True"),
        ({"steps_per_epoch": 2}, "steps_per_epoch is 2 here and was None"),
        ({"validation_data": (Small.x, Small.y)}, "validation data"),
    ],
)
def test_another_run_is_told_from_the_saved_one(options, named, finished):
    model = options.get("model", Small.model)()
    before = model.get_weights()
    with pytest.raises(ArgumentValueError, match=named):
        Small.fit(finished[0], **{**options, "model": model, "epochs": 3})
    np.testing.assert_array_equal(before[0], model.get_weights()[0])


def test_a_missing_or_empty_folder_begins_anew(tmp_path):
    (tmp_path / "empty").mkdir()
    for name in ("missing", "empty"):
        assert Small.fit(tmp_path / name).epoch == [0]
        assert any((tmp_path / name).iterdir())


def test_initial_epoch_is_of_the_beginning_only(tmp_path):
    Small.fit(tmp_path, initial_epoch=3, epochs=4)
    assert Small.fit(tmp_path, initial_epoch=3, epochs=5).epoch == [3, 4]


def test_two_runs_in_one_folder_are_refused(folder, tmp_path):
    with pytest.raises(ArgumentValueError, match="another run"):
        Small.fit(callbacks=[uk.callbacks.Checkpoint(folder)])
    with pytest.raises(ArgumentValueError, match="one Checkpoint"):
        Small.fit(
            callbacks=[uk.callbacks.Checkpoint(tmp_path / "a"), uk.callbacks.Checkpoint(tmp_path / "b")]
        )
    with pytest.raises(ArgumentValueError, match="two folders"):
        Small.fit(folder, callbacks=[uk.callbacks.Checkpoint(tmp_path / "a")])
    with pytest.raises(ArgumentValueError, match="BackupAndRestore"):
        Small.fit(tmp_path / "a", callbacks=[keras.callbacks.BackupAndRestore(str(tmp_path / "b"))])


def test_checkpoint_checks_its_arguments(tmp_path):
    for options, error in [
        ({"every_steps": 0}, ArgumentValueError),
        ({"every_steps": 1.5}, ArgumentError),
        ({"every_epochs": True}, ArgumentError),
        ({"every_seconds": -1}, ArgumentValueError),
        ({"every_seconds": "5"}, ArgumentError),
        ({"keep": 0}, ArgumentValueError),
        ({"best": "val_bleu"}, ArgumentValueError),
    ]:
        with pytest.raises(error):
            uk.callbacks.Checkpoint(tmp_path, **options)


def test_when_checkpoints_are_saved(tmp_path):
    def saved(name, **options):
        checkpoint = uk.callbacks.Checkpoint(tmp_path / name, keep=None, **options)
        Small.fit(epochs=3, callbacks=[checkpoint], validation_data=(Small.x, Small.y))
        return [position_of(path) for path in sorted((tmp_path / name).glob("*.ukckpt"))]

    assert saved("epochs", every_epochs=2) == [(0, 0), (2, 0), (3, 0)]
    assert saved("steps", every_steps=4) == [(0, 0), (0, 4), (1, 3), (2, 2), (3, 0)]
    assert saved("best", every_steps=100, best="val_loss") == [(0, 0), (1, 0), (2, 0), (3, 0)]
    assert len(saved("seconds", every_seconds=0)) == 1 + 15 + 1


def test_the_best_checkpoint_stays(tmp_path):
    checkpoint = uk.callbacks.Checkpoint(tmp_path, keep=1, best="val_loss")
    history = Small.fit(
        epochs=4,
        model=Small.model(keras.optimizers.SGD(3.0)),
        callbacks=[checkpoint],
        validation_data=(Small.x, Small.y),
    )
    assert np.argmin(history.history["val_loss"]) == 0
    best = uk.training.Checkpointer(tmp_path, best="val_loss").best
    assert position_of(best) == (1, 0)
    assert len(list(tmp_path.glob("*.ukckpt"))) == 2


# Data


def _kinds():
    x = Small.x[:20]
    yield "numpy", x
    yield "structure", {"a": x, "b": [x[:, 0], x[:, 1:]]}
    yield "tensor", keras.ops.convert_to_tensor(x)


class Rows(keras.callbacks.Callback):
    def __init__(self, rows, kill=None):
        super().__init__()
        self.rows, self.kill = rows, kill

    def on_train_batch_end(self, batch, logs=None):
        self.rows.append(float(logs["loss"]))
        if len(self.rows) == self.kill:
            raise Kill


@pytest.mark.parametrize("threads", [0, 2])
def test_a_source_of_ours_goes_on_with_other_threads(threads, tmp_path):
    def fit(folder, rows, seed, threads=0, kill=None):
        keras.utils.set_random_seed(seed)
        source = uk.data.from_arrays(Small.x, Small.y).shuffle(5).batch(16).prefetch(threads)
        checkpoint = uk.callbacks.Checkpoint(folder, every_steps=2)
        with said():  # rows of a log are not a state
            Small.fit(
                folder, x=source, y=None, batch_size=None, epochs=4, callbacks=[Rows(rows, kill), checkpoint]
            )
        return source.state

    whole, rows, rest = [], [], []
    end = fit(tmp_path / "whole", whole, 7)
    assert (end["epoch"], end["batch"]) == (4, 0)
    with pytest.raises(Kill):
        fit(tmp_path / "killed", rows, 7, threads, kill=6)
    assert fit(tmp_path / "killed", rest, 8, 2 - threads) == end
    assert rest == whole[4:]
    other = uk.data.from_arrays(Small.x, Small.y).shuffle(6).batch(16)
    with pytest.raises(DatasetError, match="seed is 6 here and was 5"):
        Small.fit(tmp_path / "killed", x=other, y=None, batch_size=None, epochs=5)


@pytest.mark.parametrize("shuffle", [True, False, "batch"])
@pytest.mark.parametrize("kind", dict(_kinds()))
def test_arrays_have_the_same_batches_from_any_position_on(kind, shuffle):
    from unikeras.training._batches import Batches
    from unikeras.training._positioned_batches import PositionedBatches

    def batches():
        return PositionedBatches(Batches(dict(_kinds())[kind], np.arange(20), batch_size=6, shuffle=shuffle))

    whole, states = [], []
    source = batches()
    for _ in range(2):
        for begin, _, data in source:
            whole.append(_as_numpy(data[0]))
            states.append((source.state, begin + 1))
    assert len(whole) == 8
    targets = [list(map(int, batch[-1])) for batch in whole]
    for epoch in (targets[:4], targets[4:]):
        assert sorted(itertools.chain(*epoch)) == list(range(20))
    assert (targets[:4] == targets[4:]) is (shuffle is False)
    for place, (state, step) in enumerate(states):
        other = batches()
        other.restore(state, step)
        rest = [_as_numpy(data[0]) for _ in range(2) for _, _, data in other][: 7 - place]
        assert len(rest) == 7 - place
        for one, expected in zip(rest, whole[place + 1 :], strict=True):
            for a, b in zip(one, expected, strict=True):
                np.testing.assert_array_equal(a, b)


def _as_numpy(batch):
    return [keras.ops.convert_to_numpy(leaf) for leaf in keras.tree.flatten(batch)]


@pytest.mark.parametrize("steps", [3, 4, 7, 12])
@pytest.mark.parametrize("together", [1, 2])
def test_positions_with_steps_per_epoch_are_those_of_keras(steps, together):
    from unikeras.training._batches import Batches
    from unikeras.training._positioned_batches import PositionedBatches

    def batches():
        x = np.arange(20)
        return Batches(x, batch_size=3, steps_per_epoch=steps, steps_per_execution=together)

    def read(source, epochs=4):
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            read = [
                [(b, e, [list(map(int, d)) for d in data]) for b, e, data in source] for _ in range(epochs)
            ]
        return read, len(found)

    assert read(PositionedBatches(batches())) == read(batches())


class Turned(keras.utils.PyDataset):
    """Batches that change after each epoch, and say how."""

    def __init__(self, **options):
        super().__init__(**options)
        self.turns = 0

    def __len__(self):
        return 5

    def __getitem__(self, index):
        part = slice(8 * index, 8 * index + 8)
        return np.roll(Small.x, self.turns, 0)[part] + np.random.normal(size=(8, 3)), Small.y[part]

    def on_epoch_end(self):
        self.turns += 1


class Positioned(Turned):
    @property
    def state(self):
        return {"turns": self.turns}

    def restore(self, state):
        self.turns = state["turns"]


def test_a_dataset_with_a_state_goes_on(tmp_path):
    def losses(folder, rows, seed, kill=None, **options):
        keras.utils.set_random_seed(seed)

        class Log(keras.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                rows.append(float(logs["loss"]))
                if len(rows) == kill:
                    raise Kill

        checkpoint = uk.callbacks.Checkpoint(folder, every_steps=2)
        Small.fit(
            folder,
            x=Positioned(),
            y=None,
            batch_size=None,
            epochs=3,
            callbacks=[Log(), checkpoint],
            **options,
        )

    whole, rows, rest = [], [], []
    losses(tmp_path / "whole", whole, 7)
    with pytest.raises(Kill):
        losses(tmp_path / "killed", rows, 7, kill=9)
    losses(tmp_path / "killed", rest, 8)
    assert rest == whole[8:]


def test_data_without_a_position_is_refused_by_name(tmp_path):
    def examples():
        while True:
            yield Small.x[:8], Small.y[:8]

    for x, error, named in [
        (examples(), ArgumentError, "generator"),
        (_native_loader(), ArgumentError, "Loader|Dataset"),
        (Turned(), ArgumentValueError, "Turned.on_epoch_end"),
        (Positioned(workers=2), ArgumentValueError, "workers=1"),
    ]:
        with pytest.raises(error, match=named):
            Small.fit(tmp_path / "run", x=x, y=None, batch_size=None, steps_per_epoch=2, shuffle=False)
    with pytest.raises(ArgumentError, match="validation data of a generator"):
        Small.fit(tmp_path / "run", validation_data=examples(), validation_steps=2)
    assert not (tmp_path / "run").exists()


def _native_loader():
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.data.Dataset.from_tensor_slices((Small.x, Small.y)).batch(8)
    torch = pytest.importorskip("torch")
    data = torch.utils.data.TensorDataset(torch.tensor(Small.x), torch.tensor(Small.y))
    return torch.utils.data.DataLoader(data, batch_size=8)


# Callbacks


@contextlib.contextmanager
def said():
    """Collect what users are warned of; Keras' own warnings are not looked at."""
    found = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        yield found
    found += [str(one.message) for one in caught]


class Counts(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.count = 0

    def on_train_batch_end(self, batch, logs=None):
        self.count += 1


class Stated(Counts):
    @property
    def state(self):
        return {"count": self.count}

    def restore(self, state):
        self.count = state["count"]


def test_callbacks_keep_their_state_or_are_named_once(tmp_path):
    with said() as warned:
        Small.fit(tmp_path, epochs=2, callbacks=[Counts(), Stated()])
    assert [one[:54] for one in warned] == ["Counts has attributes that change while fit runs (coun"]
    stated = Stated()
    with said():
        Small.fit(tmp_path, epochs=3, callbacks=[Counts(), stated])
    assert stated.count == 15


def test_other_callbacks_than_in_the_saved_run_are_said(tmp_path):
    Small.fit(tmp_path, epochs=1, callbacks=[Stated()])
    stopping = keras.callbacks.EarlyStopping("loss")
    with said() as warned:
        Small.fit(tmp_path, epochs=2, callbacks=[stopping])
    assert re.search("EarlyStopping begins anew.*the state of Stated is not used", warned[0])


def test_a_run_that_was_stopped_early_stays_stopped(tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 1

    assert Small.fit(tmp_path, epochs=5, callbacks=[Stop()]).epoch == [0, 1]
    assert Small.fit(tmp_path, epochs=9, callbacks=[Stop()]).epoch == [0, 1]


def test_a_csv_file_keeps_the_rows_before_the_kill(tmp_path):
    for epochs in (2, 3):
        Small.fit(
            tmp_path / "run", epochs=epochs, callbacks=[keras.callbacks.CSVLogger(str(tmp_path / "log.csv"))]
        )
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["epoch", "0", "1", "2"]


# Signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_after_the_batch_and_calls_the_former_handler(number, tmp_path):
    heard = []

    class Signal(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 2:
                signal.raise_signal(number)

    before = signal.signal(number, lambda *event: heard.append(_newest(tmp_path)))
    handler = signal.getsignal(number)
    try:
        history = Small.fit(callbacks=[Signal(), uk.callbacks.Checkpoint(tmp_path)], epochs=2)
        assert signal.getsignal(number) is handler
    finally:
        signal.signal(number, before)
    assert heard == [(0, 3), (1, 3)]
    assert history.epoch == [0, 1]


def _newest(folder):
    return position_of(max(folder.glob("*.ukckpt")))


def test_ctrl_c_raises_and_the_run_goes_on(tmp_path):
    class Interrupt(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 1:
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        Small.fit(tmp_path, callbacks=[Interrupt()])
    assert _newest(tmp_path) == (0, 2)
    assert Small.fit(tmp_path).epoch == [0]


@pytest.mark.rotated("number", parts=2)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_process_that_is_ended_goes_on_in_another(number, straight, start_script, tmp_path):
    import subprocess
    from pathlib import Path

    import helpers

    process = start_script(
        f"""
        import os, sys
        sys.path.insert(0, {str(Path(helpers.__file__).parents[1])!r})
        import keras
        from helpers.resumed_runs import run

        batches = []

        class End(keras.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                batches.append(batch)
                if len(batches) == 8:
                    os.kill(os.getpid(), {int(number)})

        run({str(tmp_path / "run")!r}, extra=[End()], every_steps=2)
        """,
        stderr=subprocess.PIPE,
    )
    errors = process.communicate(timeout=120)[1]
    assert process.returncode == -number, errors
    # A kill may come while the last checkpoint is written.
    assert _newest(tmp_path / "run") in ([(1, 2)] if number == signal.SIGTERM else [(0, STEPS), (1, 0)])
    rows, rest = straight[1], {}
    run(tmp_path / "run", rest, seed=99)
    assert rest == {row: rows[row] for row in rest}


# Folders that fail


def test_a_folder_that_cannot_be_used_is_an_error_at_the_start(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError):
        Small.fit(tmp_path / "file")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoint-00000001.ukckpt").write_bytes(b"damaged")
    with pytest.raises(CorruptArtifact):
        Small.fit(tmp_path / "run")


def test_a_damaged_newest_checkpoint_is_skipped_with_a_warning(folder):
    newest = max(folder.glob("*.ukckpt"))
    newest.write_bytes(newest.read_bytes()[:-30])
    with said() as warned:
        assert Small.fit(folder, epochs=2).epoch == [0, 1]
    assert re.search(f"{newest.name}.*is used instead", warned[0])


def test_training_survives_a_folder_that_goes_away(tmp_path):
    class Remove(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                (tmp_path / "run").rename(tmp_path / "gone")

    with said() as warned:
        history = Small.fit(tmp_path / "run", epochs=4, callbacks=[Remove()])
    assert warned
    assert all("no checkpoint was saved, and training goes on" in one for one in warned)
    assert history.epoch == [0, 1, 2, 3]
    assert _newest(tmp_path / "run") == (4, 0)


def test_a_full_disk_is_an_error_at_the_start_and_a_warning_later(tmp_path, monkeypatch):
    from unikeras.training.checkpoints import _checkpoint_folder

    saves = itertools.count()
    original = _checkpoint_folder.CheckpointFolder.add

    def fill(first):
        def add(self, *arguments):
            if next(saves) in first:
                raise OutputError("cannot write: No space left on device")
            return original(self, *arguments)

        monkeypatch.setattr(_checkpoint_folder.CheckpointFolder, "add", add)

    fill({0})
    with pytest.raises(OutputError, match="No space left"):
        Small.fit(tmp_path / "a")
    saves = itertools.count()
    fill({1, 2})
    with said() as warned:
        assert Small.fit(tmp_path / "b", epochs=3).epoch == [0, 1, 2]
    assert all("No space left" in one for one in warned)
    assert len(warned) == 2
    assert _newest(tmp_path / "b") == (3, 0)


# keras.Model


def test_checkpoint_saves_in_the_fit_of_keras_which_cannot_go_on_exactly(tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    checkpoint = uk.callbacks.Checkpoint(tmp_path, every_steps=2, keep=None)
    before = signal.getsignal(signal.SIGTERM)
    model.fit(Small.x, Small.y, batch_size=8, epochs=1, verbose=0, callbacks=[checkpoint])
    assert signal.getsignal(signal.SIGTERM) is before
    assert [position_of(path) for path in sorted(tmp_path.glob("*.ukckpt"))] == [(0, 2), (0, 4), (1, 0)]
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    other.compile("adam", "mse")
    uk.training.Checkpointer(tmp_path, model=other).restore()
    np.testing.assert_array_equal(other.get_weights()[0], model.get_weights()[0])
    with pytest.raises(StateError, match="was not saved by the fit"):
        Small.fit(tmp_path)


def test_signals_take_effect_after_a_fit_of_keras_that_failed(tmp_path):
    class Fail(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise ZeroDivisionError

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(ZeroDivisionError):
        model.fit(Small.x, Small.y, verbose=0, callbacks=[uk.callbacks.Checkpoint(tmp_path), Fail()])
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
