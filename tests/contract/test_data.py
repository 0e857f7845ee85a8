"""Sources of examples: which, in which order, what is done to each, and what cannot be."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

import unikeras as uk
from unikeras.data import transforms as T  # noqa: N812
from unikeras.data._keys import batch_generator, example_generator, permutation
from unikeras.errors import ArgumentError, ArgumentValueError, DatasetError

X = np.arange(20, dtype="float32").reshape(10, 2)
Y = np.arange(10) % 3


def _rows(source):
    """Return the first number of each example of the next epoch, halved: its row in X."""
    return [int(x[0] // 2) for x, _ in source]


def test_batches_hold_the_rows_of_arrays():
    batches = list(uk.data.from_arrays(X, Y).batch(4))
    assert [len(x) for x, _ in batches] == [4, 4, 2]
    np.testing.assert_array_equal(np.concatenate([x for x, _ in batches]), X)
    np.testing.assert_array_equal(np.concatenate([y for _, y in batches]), Y)
    assert batches[0][0].dtype == np.float32
    assert batches[0][1].dtype == Y.dtype


@pytest.mark.parametrize(
    ("arguments", "shape"),
    [((X,), "x"), ((X, Y), "(x, y)"), ((X, Y, np.ones(10)), "(x, y, sample_weight)")],
)
def test_batches_have_the_parts_that_were_given(arguments, shape):
    (batch,) = uk.data.from_arrays(*arguments).batch(10)
    parts = batch if isinstance(batch, tuple) else (batch,)
    assert len(parts) == len(arguments), shape
    for part, given in zip(parts, arguments, strict=True):
        np.testing.assert_array_equal(part, given)


def test_nested_structures_are_kept():
    x = {"a": X, "b": (X[:, 0], [X[:, 1], Y])}
    (batch,) = uk.data.from_arrays(x, {"out": Y}).map(lambda x, y: (x, y)).batch(10)
    np.testing.assert_array_equal(batch[0]["b"][1][0], X[:, 1])
    assert isinstance(batch[0]["b"], tuple)
    assert isinstance(batch[0]["b"][1], list)
    np.testing.assert_array_equal(batch[1]["out"], Y)


def test_the_order_is_a_function_of_seed_and_epoch():
    source = uk.data.from_arrays(X, Y).shuffle(seed=7)
    first, second = _rows(source), _rows(source)
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second
    again = uk.data.from_arrays(X, Y).shuffle(seed=7)
    assert [_rows(again), _rows(again)] == [first, second]
    assert _rows(uk.data.from_arrays(X, Y).shuffle(seed=8)) != first


def test_order_and_draws_have_the_bytes_of_every_other_backend():
    source = uk.data.from_arrays(X, Y).map(lambda x, y: (x / 3, y))
    source = source.augment(lambda x, y, generator: (x + generator.random(2, "float32"), y)).shuffle(
        2**64 - 1
    )
    digests = set()
    for threads in (0, 4):
        digest = hashlib.sha256()
        batches = source.batch(3).prefetch(threads)
        for _ in range(2):
            for x, y in batches:
                digest.update(x.tobytes() + y.astype("<i8").tobytes())
        digests.add(digest.hexdigest())
    assert digests == {"025f6d35b7b23c0c9726a716665f6341f4dc126ebfd990993124f89831afd25d"}


def test_random_transforms_draw_by_epoch_and_example_and_not_by_place():
    noise = uk.data.from_arrays(np.zeros(6), np.arange(6)).augment(lambda x, y, g: (g.random(), y))
    shuffled = noise.shuffle(noise.state["seed"])
    plain = [{int(y): float(x) for x, y in noise} for _ in range(2)]
    assert [{int(y): float(x) for x, y in shuffled} for _ in range(2)] == plain
    assert not set(plain[0].values()) & set(plain[1].values())
    assert len(set(plain[0].values())) == 6


def test_each_method_leaves_its_source_as_it_was():
    source = uk.data.from_arrays(X, Y)
    source.map(lambda x, y: (x * 0, y)).shuffle(1).take(2).prefetch(2)
    assert len(source) == 10
    assert _rows(source) == list(range(10))


def test_which_examples_there_are_is_the_same_in_each_epoch():
    source = uk.data.from_arrays(X, Y).shuffle(3).take(4)
    assert len(source) == 4
    assert sorted(_rows(source)) == sorted(_rows(source))
    kept = uk.data.from_arrays(X, Y).shuffle(3).filter(lambda x, y: y == 1)
    assert len(kept) == 3
    assert sorted(_rows(kept)) == sorted(_rows(kept)) == [1, 4, 7]


def test_an_epoch_of_repeats_has_each_pass_in_an_order_of_its_own():
    rows = _rows(uk.data.from_arrays(X, Y).shuffle(0).repeat(2))
    assert len(rows) == 20
    assert sorted(rows[:10]) == sorted(rows[10:]) == list(range(10))
    assert rows[:10] != rows[10:]


@pytest.mark.parametrize("seed", [0, None])
def test_a_split_shares_no_example(seed):
    train, test = uk.data.from_arrays(X, Y).shuffle(1).split(0.7, seed=seed)
    assert (len(train), len(test)) == (7, 3)
    for _ in range(2):
        assert sorted(_rows(train) + _rows(test)) == list(range(10))
    if seed is None:
        assert sorted(_rows(test)) == [7, 8, 9]


@pytest.mark.parametrize("labels", ["integers", "one-hot", "given"])
def test_a_split_by_class_keeps_the_share_of_each(labels):
    y = np.repeat([0, 1, 2], [10, 20, 70])
    targets = np.eye(3)[y] if labels == "one-hot" else y
    source = uk.data.from_arrays(np.arange(100), targets)
    first, second = source.split(0.8, stratify=True if labels != "given" else y.astype(str))
    rows = [int(x) for x, _ in first]
    assert np.bincount(y[rows]).tolist() == [8, 16, 56]
    assert len(second) == 20


def test_weights_of_classes_are_balanced():
    source = uk.data.from_arrays(X, Y)
    expected = {0: 10 / 12, 1: 10 / 9, 2: 10 / 9}
    assert source.class_weight() == pytest.approx(expected)
    assert source.map(lambda x, y: (x, np.eye(3)[y])).batch(3).class_weight() == pytest.approx(expected)


def test_what_is_cached_is_made_once_and_cannot_be_changed_in_place():
    calls = []

    def count(x, y):
        calls.append(int(y))
        return x + 1, y

    source = uk.data.from_arrays(X, Y).map(count).cache()
    for _ in range(2):
        np.testing.assert_array_equal(next(iter(source.batch(10)))[0], X + 1)
    assert len(calls) == 10

    def change(x, y):
        x += 1
        return x, y

    for changed in (source.map(change), uk.data.from_arrays(X, Y).map(change)):
        with pytest.raises(
            DatasetError, match=r"map\(change\) failed at example 0 of arrays: ValueError: .*read-only"
        ):
            changed[0]


def test_an_example_can_be_changed_and_its_source_stays():
    source = uk.data.from_arrays(X, Y)
    source[0][0][:] = 7
    next(iter(source))[0][:] = 7
    next(iter(source.batch(2)))[0][:] = 7
    assert X[0].tolist() == [0, 1]


def test_items_are_examples_in_any_form():
    class Tensor:  # what PyTorch's tensors have
        def detach(self):
            return self

        def cpu(self):
            return np.array([1.0, 2.0], "float16")

    items = [{"tokens": [1, 2, 3], "picture": Tensor(), "length": 0.5, "name": "a"}] * 2
    (batch,) = uk.data.from_source(items).batch(2)
    assert batch["tokens"].tolist() == [[1, 2, 3]] * 2
    assert batch["picture"].dtype == np.float16
    assert batch["length"].dtype == np.float32
    assert batch["name"].tolist() == ["a", "a"]
    (pair,) = uk.data.from_source([[X[0], 1]]).batch(2)
    assert isinstance(pair, tuple)


def test_functions_of_batches():
    batches = uk.data.from_arrays(X, Y).batch(5).map(lambda x, y: (x.sum(axis=1), y))
    assert next(iter(batches))[0].shape == (5,)
    with pytest.raises(DatasetError, match=r"map\(<lambda>\) failed at batch 0: ZeroDivisionError"):
        next(iter(batches.map(lambda x, y: 1 / 0)))


def test_a_state_is_plain_json():
    state = uk.data.from_arrays(X, Y).shuffle(2**63).batch(3, pad=0, bucket=[2]).state
    assert json.loads(json.dumps(state)) == state


class _NoItems:
    def __len__(self):
        return 3


class _Endless(list):
    def __len__(self):
        return 2**63 - 1


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: uk.data.from_arrays(X[:0], Y[:0]), DatasetError, "no examples; at least one is needed"),
        (lambda: uk.data.from_arrays(X, Y[:9]), ArgumentValueError, "x has 10, y has 9"),
        (
            lambda: uk.data.from_arrays({"a": X, "b": Y[:3]}),
            ArgumentValueError,
            r"x\['a'\] has 10, x\['b'\] has 3",
        ),
        (lambda: uk.data.from_arrays(X, sample_weight=Y), ArgumentValueError, "needs y"),
        (lambda: uk.data.from_arrays(None), ArgumentError, "received None"),
        (lambda: uk.data.from_arrays({}), ArgumentError, "at least one array"),
        (lambda: uk.data.from_arrays(3.0), ArgumentError, "a row for each example; received 3.0"),
        (lambda: uk.data.from_arrays(X, {"a": object()}), DatasetError, "no number, string, array or tensor"),
        (lambda: uk.data.from_source([]), DatasetError, "list: there are no examples"),
        (lambda: uk.data.from_source(iter([1])), ArgumentError, r"from_source\(list\(items\)\)"),
        (lambda: uk.data.from_source(x for x in X), ArgumentError, "takes a generator of batches as it is"),
        (lambda: uk.data.from_source({"x": X}), ArgumentError, "from_arrays"),
        (lambda: uk.data.from_source("folder"), ArgumentError, "from_folder"),
        (lambda: uk.data.from_source(_NoItems()), ArgumentError, "no items by number"),
        (lambda: uk.data.from_source(uk.data.from_arrays(X).batch(2)), ArgumentError, "batches by number"),
        (lambda: _source().shuffle(None), ArgumentError, "seed has to be an integer; received None"),
        (lambda: _source().shuffle(True), ArgumentError, "seed has to be an integer; received True"),
        (lambda: _source().shuffle(-1), ArgumentValueError, "between 0 and"),
        (lambda: _source().batch(0), ArgumentValueError, "1 or more; received 0"),
        (lambda: _source().batch(2.0), ArgumentError, "an integer; received 2.0"),
        (lambda: _source().batch(2, drop_remainder=1), ArgumentError, "drop_remainder"),
        (
            lambda: _source().batch(11, drop_remainder=True)[0],
            DatasetError,
            "10 examples make no batch of 11",
        ),
        (lambda: _source().take(0), ArgumentValueError, "1 or more"),
        (lambda: _source().repeat(2).take(3), DatasetError, "before .repeat"),
        (lambda: _source().prefetch(-1), ArgumentValueError, "0 or more; received -1"),
        (lambda: _source().split(1.0), ArgumentValueError, "between 0 and 1"),
        (lambda: _source().split("0.5"), ArgumentError, "a number"),
        (
            lambda: _source().split(0.5, stratify=[1, 2]),
            ArgumentValueError,
            r"each of 10 examples; its shape is \(2,\)",
        ),
        (lambda: _source().split(0.5, stratify=range(10)), DatasetError, "only one example"),
        (lambda: _source().take(1).split(0.5), ArgumentValueError, "at least 2 examples"),
        (lambda: uk.data.from_arrays(X).class_weight(), DatasetError, "have no labels"),
        (lambda: uk.data.from_arrays(X, X).class_weight(), DatasetError, "one-hot rows"),
        (lambda: _source().map(3), ArgumentError, ".map takes a function"),
        (lambda: _source().augment(), ArgumentError, "at least one transform"),
        (lambda: _source().augment("flip"), ArgumentError, ".augment takes a function"),
        (
            lambda: _source().augment(T.MixUp()).map(lambda x, y: (x, y)),
            DatasetError,
            "the last step before .batch",
        ),
        (
            lambda: _source().augment(T.MixUp(), lambda x, y, g: (x, y)),
            ArgumentValueError,
            "has to come last",
        ),
        (lambda: _source().augment(T.RandomFlip())[0], ArgumentError, "a picture has the shape"),
        (lambda: _source().augment(lambda x, y, g: (x, y)).cache(), DatasetError, "before .augment"),
        (lambda: _source().augment(lambda x, y, g: (x, y)).filter(len), DatasetError, "before .augment"),
        (lambda: len(_source().filter(lambda x, y: False)), DatasetError, "keeps none of 10 examples"),
        (
            lambda: _source().map(lambda x, y: 1 / 0)[3],
            DatasetError,
            "failed at example 3 of arrays: ZeroDivision",
        ),
        (
            lambda: len(_source().filter(lambda x, y: x)),
            DatasetError,
            "failed at example 0 of arrays: ValueError",
        ),
        (lambda: _source().map(lambda x: x)[3], DatasetError, "failed at example 3 of arrays: TypeError"),
        (lambda: _source()[10], IndexError, "no example 10; there are 10"),
        (lambda: _source().batch(4)[3], IndexError, "no batch 3; there are 3"),
        (lambda: _source()[-11], IndexError, "no example -11"),
        (lambda: _source()[1:3], ArgumentError, "the number of example has to be an integer"),
        (lambda: _source().batch(4)["x"], ArgumentError, "received 'x'"),
        (lambda: uk.data.from_arrays([[1, 2], [3]]), DatasetError, "unequal length"),
        (lambda: uk.data.from_source(_Endless()), ArgumentError, "has no end"),
        (lambda: _source().batch(4).shuffle(1), AttributeError, "before .batch"),
    ],
)
def test_what_cannot_be_is_refused_by_name(make, error, message):
    with pytest.raises(error, match=message):
        make()


def _source():
    return uk.data.from_arrays(X, Y)


@pytest.mark.parametrize("other", [lambda i: (X[:1], 0), lambda i: {"x": X[0]}, lambda i: (X[0], 0, 1.0)])
def test_examples_that_fit_no_batch_are_named(other):
    items = [(X[0], 0), other(0)]
    with pytest.raises(
        DatasetError, match=r"the examples of a batch have to have one (shape|structure).*number 1"
    ):
        next(iter(uk.data.from_source(items).batch(2)))


PICTURES = (np.arange(6 * 8 * 8 * 3) % 251).astype("uint8").reshape(6, 8, 8, 3)


def test_pictures_draw_by_the_key_of_each_example():
    flip = T.RandomFlip("horizontal", p=0.5)
    source = uk.data.from_arrays(PICTURES, np.arange(6)).augment(flip, T.Rescale(1 / 255)).shuffle(9)
    for epoch in range(2):
        for x, y in source.batch(4).prefetch(2).read_epoch(epoch):
            for picture, index in zip(x, y, strict=True):
                expected = T.Compose([flip, T.Rescale(1 / 255)]).apply(
                    T.Example(PICTURES[index]), example_generator(9, epoch, int(index))
                )
                np.testing.assert_array_equal(picture, expected.image)
    assert source.state["source"]["chain"].count("RandomFlip(mode='horizontal', p=0.5)") == 1


def test_masks_move_with_their_pictures_and_weights_stay():
    masks = PICTURES[..., :1] > 100
    source = uk.data.from_arrays(PICTURES, masks, np.arange(6.0)).augment(T.RandomFlip("horizontal", p=1))
    ((x, y, weight),) = source.batch(6)
    np.testing.assert_array_equal(x, PICTURES[:, :, ::-1])
    np.testing.assert_array_equal(y, masks[:, :, ::-1])
    assert weight.tolist() == list(range(6))


def test_a_layer_of_keras_is_the_transform_of_its_name():
    import keras

    source = uk.data.from_arrays(PICTURES, np.arange(6))
    with_layer = source.augment(keras.layers.RandomFlip("vertical")).shuffle(1)
    with_transform = source.augment(T.RandomFlip("vertical")).shuffle(1)
    for one, other in zip(with_layer.batch(6), with_transform.batch(6), strict=True):
        np.testing.assert_array_equal(one[0], other[0])
    with pytest.raises(ArgumentValueError, match="put the layer into the model"):
        source.augment(keras.layers.Dense(1))


@pytest.mark.parametrize("threads", [0, 2])
def test_what_mixes_pictures_works_on_batches(threads):
    source = (
        uk.data.from_arrays(PICTURES.astype("float32"), np.arange(6))
        .augment(T.MixUp(num_classes=6))
        .shuffle(2)
    )
    batches = source.batch(4).prefetch(threads)
    for number, (x, y) in enumerate(batches.read_epoch(1)):
        assert y.shape == (len(x), 6)
        np.testing.assert_allclose(y.sum(axis=1), 1, rtol=1e-6)
        indices = permutation(6, 2, 1)[number * 4 : number * 4 + 4]
        expected = T.MixUp(num_classes=6).apply_to_batch(
            (PICTURES[indices].astype("float32"), indices), batch_generator(2, 1, number)
        )
        np.testing.assert_array_equal(x, expected[0])
        np.testing.assert_array_equal(y, expected[1])


def test_what_draws_nothing_can_be_cached():
    source = uk.data.from_arrays(PICTURES).augment(T.Rescale(1 / 255)).cache()
    assert next(iter(source.batch(2))).max() <= 1


def test_the_last_examples_are_left_out_on_request():
    source = uk.data.from_arrays(X, Y).batch(4, drop_remainder=True)
    assert len(source) == len(list(source)) == 2
