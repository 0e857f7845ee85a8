"""The position of a source: read at any time, given back at any batch, moved by iteration alone."""

from __future__ import annotations

import copy
import itertools
import pickle

import numpy as np
import pytest

import unikeras as uk
from unikeras.errors import ArgumentError, ArgumentValueError, DatasetError

X = np.arange(10.0)


def _source(threads=0, **changes):
    options = {"seed": 5, "size": 3, "count": 10} | changes
    source = uk.data.from_arrays(X[: options["count"]]).shuffle(options["seed"])
    return source.batch(options["size"]).prefetch(threads)


def _place(source):
    return source.state["epoch"], source.state["batch"]


def _lists(batches):
    return [batch.tolist() for batch in batches]


@pytest.mark.parametrize("threads", [0, 3])
def test_the_state_counts_what_was_handed_out(threads):
    source = _source(threads)
    assert _place(source) == (0, 0)
    places = [_place(source) for _ in source]
    assert places == [(0, 1), (0, 2), (0, 3), (0, 4)]
    assert _place(source) == (1, 0)


@pytest.mark.parametrize("threads", [0, 3])
@pytest.mark.parametrize("batch", range(5))
def test_after_a_restore_comes_the_rest_of_the_epoch(threads, batch):
    source = _source(threads)
    list(source)
    begun = itertools.islice(source, batch)
    list(begun)
    state = source.state
    expected = [_lists(_source().read_epoch(1, batch)), _lists(_source().read_epoch(2))]
    other = _source(threads)
    other.restore(state)
    assert other.state == state
    assert [_lists(other), _lists(other)] == expected


def test_each_iteration_is_the_next_epoch_also_where_one_was_broken_off():
    source = _source()
    for _ in source:
        break
    assert _place(source) == (0, 1)
    assert _lists(source) == _lists(_source().read_epoch(1))
    iter(source)  # nothing was taken from it
    assert _lists(source) == _lists(_source().read_epoch(2))


def test_an_iteration_that_another_one_followed_moves_nothing():
    source = _source()
    old = iter(source)
    next(old)
    new = iter(source)
    next(new)
    next(old)
    assert _place(source) == (1, 1)


def test_to_look_at_a_source_moves_nothing():
    source = _source()
    assert len(source) == 4
    assert source[0].tolist() == _lists(source.read_epoch(0))[0]
    assert source[-1].tolist() == _lists(source.read_epoch(0))[-1]
    list(source.read_epoch(3))
    repr(source)
    assert _place(source) == (0, 0)


def test_examples_have_a_position_too():
    source = uk.data.from_arrays(X).shuffle(1)
    next(iter(source))
    other = uk.data.from_arrays(X).shuffle(1)
    other.restore(source.state)
    assert [float(x) for x in other] == [float(x) for x in source.read_epoch(0, 1)]


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, lambda source: pickle.loads(pickle.dumps(source))])
def test_a_copy_is_at_the_same_place(way):
    source = _source()
    next(iter(source))
    assert way(source).state == source.state


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"seed": 6}, "seed is 6 here and was 5"),
        ({"size": 4}, "batch_size is 4 here and was 3"),
        ({"count": 9}, "examples is 9 here and was 10"),
    ],
)
def test_a_state_of_another_source_is_refused_by_name(changes, difference):
    with pytest.raises(DatasetError, match=f"the state was taken of another source: .*{difference}"):
        _source(**changes).restore(_source().state)


def test_other_data_and_another_chain_are_named():
    state = uk.data.from_arrays(X).batch(3).state
    with pytest.raises(DatasetError, match="data is 'data"):
        uk.data.from_arrays(X + 1).batch(3).restore(state)
    with pytest.raises(DatasetError, match=r"chain is 'arrays -> map\(abs\)' here and was 'arrays'"):
        uk.data.from_arrays(X).map(abs).batch(3).restore(state)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (None, ArgumentError, "restore takes what a source's .state was"),
        ({"epoch": -1}, ArgumentValueError, "epoch of a state"),
        ({"batch": 5}, ArgumentValueError, "batch of a state has to be an integer from 0 to 4; received 5"),
        ({"batch": "1"}, ArgumentValueError, "received '1'"),
        ({"epoch": True}, ArgumentValueError, "received True"),
        ({"source": 3}, DatasetError, "batch_size is 3 here and was None"),
    ],
)
def test_what_is_no_state_is_refused_and_nothing_moves(change, error, message):
    source = _source()
    state = None if change is None else source.state | change
    with pytest.raises(error, match=message):
        source.restore(state)
    assert _place(source) == (0, 0)
