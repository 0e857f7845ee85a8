"""Truncated backpropagation: the state goes on, the gradient stops, another sequence begins anew."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from helpers.arrays import numpy
from keras import layers

import unikeras as uk
from unikeras.errors import ArgumentValueError, CannotStream
from unikeras.training._chunked_data import Chunks

RNG = np.random.default_rng(0)


def model_of(seed=1):
    model = keras.Sequential([keras.Input((None, 3)), layers.LSTM(4, return_sequences=True), layers.Dense(1)])
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(size=w.shape) * 0.4 for w in model.weights])
    return model


def sequences(*lengths):
    return [RNG.normal(size=(length, 3)).astype("float32") for length in lengths]


def targets(x):
    return [np.cumsum(one[:, :1], 0) * 0.1 for one in x]


def trained(model, chunk, x, y, **options):
    trainer = uk.training.tbptt(model, chunk=chunk)
    trainer.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse")
    return trainer.fit(x, y, verbose=0, shuffle=False, **options).history["loss"]


def by_hand(model, chunk, rows, epochs=1):
    """Train on rows of whole sequences of one length with the step and a tape."""
    step, optimizer = uk.stateful(model), keras.optimizers.SGD(0.1)
    x, y = np.stack(rows), np.stack(targets(rows))
    for _ in range(epochs):
        state = step.initial_state(len(x))
        for begin in range(0, x.shape[1], chunk):
            part = slice(begin, begin + chunk)
            with uk.GradientTape() as tape:
                out, state = step(
                    x[:, part], keras.tree.map_structure(uk.stop_gradient, state), training=True
                )
                loss = keras.ops.mean(keras.ops.subtract(out, y[:, part]) ** 2)
            optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
    return [numpy(weight) for weight in model.weights]


def test_it_is_the_loop_that_one_writes_by_hand():
    rows = sequences(12, 12, 12)
    model = model_of()
    trained(model, 4, np.stack(rows), np.stack(targets(rows)), epochs=2)
    for one, other in zip(model.weights, by_hand(model_of(), 4, rows, epochs=2), strict=True):
        np.testing.assert_allclose(numpy(one), other, atol=1e-5)


def test_one_chunk_is_plain_training():
    rows = sequences(6, 6)
    model, plain = model_of(), uk.Model.from_keras(model_of())
    x, y = np.stack(rows), np.stack(targets(rows))
    plain.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse")
    losses = plain.fit(x, y, epochs=3, verbose=0, shuffle=False).history["loss"]
    np.testing.assert_allclose(trained(model, 6, x, y, epochs=3), losses, rtol=1e-5)


def test_the_gradient_stops_where_a_chunk_begins():
    rows = sequences(12, 12)
    through, cut = model_of(), model_of()
    trained(through, 12, rows, targets(rows))
    trained(cut, 4, rows, targets(rows))
    # The same state, but for the updates; other gradients.
    assert np.abs(numpy(through.weights[0]) - numpy(cut.weights[0])).max() > 1e-4


def test_a_row_begins_anew_with_each_sequence():
    x = sequences(8, 8)
    one_row, model = model_of(), model_of()
    trained(one_row, 4, x, targets(x), batch_size=1)
    step, optimizer = uk.stateful(model), keras.optimizers.SGD(0.1)
    for sequence, target in zip(x, targets(x), strict=True):
        state = step.initial_state(1)
        for begin in (0, 4):
            with uk.GradientTape() as tape:
                out, state = step(sequence[None, begin : begin + 4], state, training=True)
                loss = keras.ops.mean(keras.ops.subtract(out, target[None, begin : begin + 4]) ** 2)
            optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
            state = keras.tree.map_structure(uk.stop_gradient, state)
    for one, other in zip(one_row.weights, model.weights, strict=True):
        np.testing.assert_allclose(numpy(one), numpy(other), atol=1e-5)


def test_sequences_of_any_length_are_evaluated_as_wholes():
    x = sequences(7, 3, 12, 5, 1)
    model = model_of()
    trainer = uk.training.tbptt(model, chunk=4)
    trainer.compile(loss="mse", weighted_metrics=[keras.metrics.MeanSquaredError()])
    result = trainer.evaluate(x, targets(x), batch_size=2, verbose=0)
    errors = [(numpy(model(one[None]))[0] - target) ** 2 for one, target in zip(x, targets(x), strict=True)]
    np.testing.assert_allclose(result[1], np.concatenate(errors).mean(), rtol=1e-4)


def test_validation_leaves_training_alone():
    x = sequences(8, 8)
    with_it, without = model_of(), model_of()
    held_out = sequences(5, 6, 7)
    losses = trained(with_it, 4, x, targets(x), epochs=2, validation_data=(held_out, targets(held_out)))
    np.testing.assert_allclose(losses, trained(without, 4, x, targets(x), epochs=2), rtol=1e-5)


def test_memory_is_no_weight():
    model = model_of()
    trainer = uk.training.tbptt(model, chunk=4)
    trainer.compile(optimizer="sgd", loss="mse")
    x = sequences(8, 8)
    trainer.fit(x, targets(x), verbose=0)
    assert [id(w) for w in trainer.weights] == [id(w) for w in model.weights]


def test_the_batches():
    x = [np.arange(length)[:, None] + 100 * number for number, length in enumerate((5, 2, 3))]
    chunks = Chunks({"a": x}, x, chunk=2, batch_size=2)
    seen = [chunks[number] for number in range(len(chunks))]
    assert [batch[0]["starts"].tolist() for batch in seen] == [[True, True], [False, False], [False, True]]
    assert [batch[0]["x"]["a"][..., 0].tolist() for batch in seen] == [
        [[0, 1], [200, 201]],
        [[2, 3], [202, 202]],
        [[4, 4], [100, 101]],
    ]
    assert [batch[2].tolist() for batch in seen] == [[[1, 1], [1, 1]], [[1, 1], [1, 0]], [[1, 0], [1, 1]]]
    assert all((batch[1] == batch[0]["x"]["a"]).all() for batch in seen)


def test_rows_without_sequences_weigh_nothing():
    x = [np.zeros((6, 1)), np.ones((1, 1))]
    chunks = Chunks(x, x, chunk=2, batch_size=8)
    assert len(chunks) == 3
    assert [chunks[number][2].sum(1).tolist() for number in range(3)] == [[2, 1], [2, 0], [2, 0]]


def test_shuffling_exchanges_whole_sequences():
    x = [np.full((4, 1), number) for number in range(20)]
    chunks = Chunks(x, x, chunk=2, batch_size=5, shuffle=True, seed=0)
    epochs = []
    for _ in range(2):
        first = [chunks[number][0]["x"][:, 0, 0] for number in range(0, len(chunks), 2)]
        assert sorted(np.concatenate(first).tolist()) == list(range(20))
        second = [chunks[number][0]["x"][:, 0, 0] for number in range(1, len(chunks), 2)]
        np.testing.assert_array_equal(first, second)
        epochs.append(np.concatenate(first).tolist())
        chunks.on_epoch_end()
    assert epochs[0] != epochs[1]


def test_what_cannot_be_trained_so_is_refused():
    whole = keras.Sequential([keras.Input((None, 3)), layers.LSTM(4)])
    with pytest.raises(ArgumentValueError, match="return_sequences=True"):
        uk.training.tbptt(whole, chunk=4)
    with pytest.raises(ArgumentValueError, match="received 0"):
        uk.training.tbptt(model_of(), chunk=0)
    mixing = keras.Sequential(
        [keras.Input((None, 3)), *model_of().layers, layers.Conv1D(2, 3, padding="same")]
    )
    with pytest.raises(CannotStream, match="conv1d"):
        uk.training.tbptt(mixing, chunk=4)
    trainer = uk.training.tbptt(model_of(), chunk=4)
    trainer.compile(optimizer="sgd", loss="mse")
    x = sequences(4, 5)
    with pytest.raises(ArgumentValueError, match=r"sequence 1 needs a target for each of its steps.*4 and 5"):
        trainer.fit(x, targets([x[0], x[0]]))
    with pytest.raises(ArgumentValueError, match=r"as many sequences.*\[1, 2\]"):
        trainer.fit(x, targets(x)[:1])
    with pytest.raises(ArgumentValueError, match="received 3 parts"):
        trainer.fit(x, targets(x), validation_data=(x, x, x))
