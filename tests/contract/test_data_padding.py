"""Sequences of unequal length in one batch: padded, by buckets, with lengths or mask."""

from __future__ import annotations

import numpy as np
import pytest

import unikeras as uk
from unikeras.errors import ArgumentError, ArgumentValueError, DatasetError

LENGTHS = [3, 1, 5, 2, 4, 1, 6]
ITEMS = [(np.arange(1, length + 1), number) for number, length in enumerate(LENGTHS)]


def _source():
    return uk.data.from_source(ITEMS)


def test_sequences_are_filled_up_to_the_longest_of_the_batch():
    batches = list(_source().batch(3, pad=0))
    assert [x.shape for x, _ in batches] == [(3, 5), (3, 4), (1, 6)]
    assert batches[0][0].tolist() == [[1, 2, 3, 0, 0], [1, 0, 0, 0, 0], [1, 2, 3, 4, 5]]
    assert batches[0][1].tolist() == [0, 1, 2]


@pytest.mark.parametrize("threads", [0, 2])
def test_buckets_put_sequences_of_like_length_together(threads):
    source = _source().batch(2, pad=-1, bucket=[2, 8]).prefetch(threads)
    batches = [(x.shape, y.tolist()) for x, y in source]
    assert batches == [((2, 8), [0, 2]), ((2, 2), [1, 3]), ((2, 8), [4, 6]), ((1, 2), [5])]
    assert len(source) == 4
    dropped = _source().batch(2, pad=-1, bucket=[2, 8], drop_remainder=True)
    assert [y.tolist() for _, y in dropped] == [[0, 2], [1, 3], [4, 6]]


def test_buckets_are_filled_in_the_order_of_the_epoch():
    source = _source().shuffle(1).batch(2, pad=0, bucket=[2, 8])
    epochs = [[y.tolist() for _, y in source] for _ in range(2)]
    assert epochs[0] != epochs[1]
    for epoch in epochs:
        assert sorted(number for batch in epoch for number in batch) == list(range(7))
    source.restore(source.state | {"epoch": 0, "batch": 2})
    assert [y.tolist() for _, y in source] == epochs[0][2:]


def test_lengths_or_mask_are_kept():
    x, y = next(iter(_source().batch(2, pad=0, keep="lengths")))
    assert x["x"].shape == (2, 3)
    assert x["lengths"].tolist() == [3, 1]
    assert y.tolist() == [0, 1]
    x, _ = next(iter(_source().map(lambda x, y: ({"tokens": x}, y)).batch(2, pad=0, bucket=[8], keep="mask")))
    assert x["tokens"].shape == x["mask"].shape == (2, 8)
    assert x["mask"].sum(axis=1).tolist() == [3, 1]


def test_the_lengths_are_those_of_the_sequence_where_x_has_other_arrays():
    items = [{"fixed": np.ones(3), "tokens": np.ones(length)} for length in (2, 2, 4)]
    batches = list(uk.data.from_source(items).batch(2, pad=0, keep="lengths"))
    assert [x["lengths"].tolist() for x in batches] == [[2, 2], [4]]


def test_weights_of_steps_are_a_sample_weight():
    steps = _source().map(lambda x, y: (x, x * 2))
    x, y, weight = next(iter(steps.batch(2, pad=0, keep="weight")))
    assert x.shape == y.shape == weight.shape == (2, 3)
    assert weight.tolist() == [[1, 1, 1], [1, 0, 0]]
    _, _, weight = next(iter(steps.map(lambda x, y: (x, y, 0.5)).batch(2, pad=0, keep="weight")))
    assert weight.tolist() == [[0.5, 0.5, 0.5], [0.5, 0, 0]]


def test_only_sequences_are_padded():
    items = [({"tokens": np.ones((length, 4)), "fixed": np.ones(3)}, 0) for length in (2, 3, 5)]
    for x, _ in uk.data.from_source(items).batch(1, pad=0, bucket=[6], keep="lengths"):
        assert x["tokens"].shape == (1, 6, 4)
        assert x["fixed"].shape == (1, 3)


def test_weights_and_masks_leave_padding_out_of_the_loss():
    import keras

    model = keras.Sequential([keras.Input((None,)), keras.layers.Reshape((-1, 1)), keras.layers.Dense(1)])
    model = uk.Model.from_keras(model)
    model.compile(optimizer="sgd", loss=keras.losses.MeanSquaredError(reduction="mean_with_sample_weight"))
    items = [(np.full(length, 1.0, "float32"), np.full((length, 1), 2.0, "float32")) for length in (1, 3)]
    source = uk.data.from_source(items)
    one_by_one = [model.evaluate(x[None], y[None], verbose=0) for x, y in items]
    padded = model.evaluate(source.batch(2, pad=0, keep="weight"), verbose=0)
    np.testing.assert_allclose(padded, (one_by_one[0] + 3 * one_by_one[1]) / 4, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"bucket": [4]}, ArgumentValueError, "give pad="),
        ({"pad": "0"}, ArgumentError, "pad has to be a number"),
        ({"pad": 0, "bucket": 4}, ArgumentError, "a list of lengths"),
        ({"pad": 0, "bucket": [4, 4]}, ArgumentValueError, "that grow"),
        ({"pad": 0, "bucket": []}, ArgumentValueError, "that grow"),
        ({"pad": 0, "bucket": [1.5]}, ArgumentError, "a list of integers"),
        ({"pad": 0, "keep": "masks"}, ArgumentValueError, "'lengths', 'mask', 'weight'"),
        ({"pad": 0.5}, ArgumentValueError, "pad=0.5 is no int64"),
        ({"pad": float("nan")}, ArgumentValueError, "pad=nan is no int64"),
        ({"pad": 2**63}, ArgumentValueError, "is no int64"),
        ({"pad": 0, "bucket": [2, 5]}, DatasetError, "1 examples are longer .* example 6 has length 6"),
        ({"pad": 0, "keep": "weight"}, DatasetError, "a target for each step"),
    ],
)
def test_what_cannot_be_padded_is_refused_by_name(options, error, message):
    with pytest.raises(error, match=message):
        next(iter(_source().batch(2, **options)))


@pytest.mark.parametrize("options", [{"pad": 0}, {"pad": 0, "bucket": [8]}])
def test_sequences_of_unequal_structure_are_named(options):
    items = [({"a": [1]}, 0), ({"a": [1, 2], "b": [2]}, 1)]
    with pytest.raises(DatasetError, match="have to have one structure"):
        next(iter(uk.data.from_source(items).batch(2, **options)))


def test_buckets_refuse_random_lengths():
    source = _source().augment(lambda x, y, generator: (x[: generator.integers(1, 3)], y))
    with pytest.raises(DatasetError, match="random transforms may change"):
        len(source.batch(2, pad=0, bucket=[8]))
    assert len(list(source.batch(2, pad=0))) == 4
