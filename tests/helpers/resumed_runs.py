"""A training run with all that a resume has to bring back, which logs each batch, and is killed where a test says."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import keras
import numpy as np

import unikeras as uk

ROWS, BATCH, EPOCHS = 88, 16, 4  # the last batch of an epoch has 8 rows
STEPS = 6


class Kill(BaseException):
    """What ends a run without any of its code hearing of it; a callback raises it."""


def arrays(seed=0):
    rng = np.random.RandomState(seed)
    return rng.randn(ROWS + 32, 6).astype("float32"), rng.randint(0, 3, ROWS + 32)


def make_model(optimizer=None, loss=None, dropout=0.3):
    """Return a model with seeded and unseeded dropout, augmentation, statistics and accumulated gradients."""
    layers, inputs = keras.layers, keras.Input((6,))
    h = layers.GaussianNoise(0.1)(inputs)
    h = layers.BatchNormalization()(layers.Dense(8, "relu")(h))
    h = layers.Dropout(dropout)(layers.Dropout(0.2, seed=1)(h))
    model = uk.Model(inputs, layers.Dense(3)(h))
    loss = loss or keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(
        optimizer or keras.optimizers.Adam(3e-2, gradient_accumulation_steps=3), loss, metrics=["accuracy"]
    )
    return model


def log(rows, kill=None):
    """Return a callback that adds each value, bit for bit, to a dictionary, and raises `Kill` after a row.

    Args:
        rows: the dictionary.
        kill: its key, such as (epoch, batch), (epoch, "val", batch) or (epoch, "end"); None for no kill.
    """
    epoch_now = [0]

    def hear(*row):
        rows[row[:-1]] = row[-1]
        if kill is not None and row[:-1] == kill:
            raise Kill

    class Log(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            epoch_now[0] = epoch

        def on_train_batch_end(self, batch, logs=None):
            hear(epoch_now[0], batch, *_exact(logs))

        def on_test_batch_end(self, batch, logs=None):
            hear(epoch_now[0], "val", batch, *_exact(logs))

        def on_epoch_end(self, epoch, logs=None):
            rate = keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)
            hear(epoch, "end", (float(logs["val_loss"]).hex(), float(rate).hex()))

    return Log()


def _exact(logs):
    return [tuple(float(keras.ops.convert_to_numpy(value)).hex() for value in logs.values())]


def schedules(epochs=EPOCHS):
    """Return callbacks that carry state, or change the rate."""

    def cosine(epoch):
        return 0.5 * (1 + np.cos(np.pi * epoch / (epochs + 1)))

    return [
        keras.callbacks.EarlyStopping("val_loss", min_delta=0.02, patience=3, restore_best_weights=True),
        keras.callbacks.LearningRateScheduler(
            lambda e, rate: rate * cosine(e) / cosine(e - 1) if e else rate
        ),
        keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=1, min_delta=0.05),
    ]


def run(folder, rows=None, seed=7, kill=None, model=None, every_steps=1, keep=None, extra=(), **options):
    """Fit a fresh model, or go on with the run in a folder; return the model and its history."""
    keras.utils.set_random_seed(seed)
    model = model or make_model()
    x, y = arrays()
    callbacks = [*schedules(), *extra, log({} if rows is None else rows, kill)]
    callbacks.insert(1, uk.callbacks.Checkpoint(folder, every_steps, every_epochs=1, keep=keep))
    data = {"batch_size": BATCH, "validation_data": (x[ROWS:], y[ROWS:]), "validation_batch_size": 8}
    given = {
        "x": x[:ROWS],
        "y": y[:ROWS],
        "epochs": EPOCHS,
        "verbose": 0,
        "resume": folder,
        **data,
        **options,
    }
    history = model.fit(callbacks=callbacks, **given)
    return model, history


def position_of(path):
    """Return the epoch and the batch that a checkpoint says."""
    import json

    with zipfile.ZipFile(path) as archive:
        state = json.loads(archive.read("state.json"))["state"]["objects"]["fit"]
    return state["epoch"], state["batch"]


def folder_at(folder: Path, position, into: Path) -> Path:
    """Return a folder as a kill would leave it: with the checkpoints up to a position, and no later ones."""
    into.mkdir()
    for path in sorted(folder.glob("*.ukckpt")):
        if position_of(path) <= position:
            shutil.copy(path, into)
    return into


def run_portable(folder, seed=7, **options):
    """Run, or go on, inside `uk.random.portable`; return the rows, as numbers, and what was warned of."""
    import warnings

    rows = {}
    with warnings.catch_warnings(record=True) as caught, uk.random.portable(5):
        warnings.simplefilter("always", UserWarning)
        run(folder, rows, seed=seed, **options)
    numbers = {row: [float.fromhex(part) for part in values] for row, values in rows.items()}
    return numbers, [str(one.message) for one in caught if issubclass(one.category, UserWarning)]


def go_on(folder):
    """Go on without `uk.random.portable`; return the rows' keys, and what was warned of."""
    import warnings

    rows = {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        run(folder, rows, seed=99)
    return list(rows), [str(one.message) for one in caught if issubclass(one.category, UserWarning)]
