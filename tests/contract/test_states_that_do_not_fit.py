"""A state or a mask of another shape: broadcast as Keras does, or refused by name, on each backend."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from helpers.arrays import numpy
from keras import layers, ops

import unikeras as uk
from unikeras.errors import ArgumentError, ArgumentValueError, SignatureError

UNITS = 4
X = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")


def states(*shapes):
    rng = np.random.default_rng(1)
    return [ops.convert_to_tensor(rng.normal(size=shape).astype("float32")) for shape in shapes]


def both(name, **options):
    plain = getattr(layers, name)(UNITS, return_sequences=True, **options)
    fused = getattr(uk.layers, name)(UNITS, return_sequences=True, **options)
    plain.build(X.shape)
    fused.build(X.shape)
    fused.set_weights(plain.get_weights())
    return plain, fused


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("LSTM", [(1, 4), (1, 4)]),
        ("LSTM", [(4,), (4,)]),
        ("LSTM", [(2, 4), (2, 1)]),
        ("LSTM", [(1, 4), ()]),
        ("GRU", [(1, 4)]),
        ("GRU", [(4,)]),
    ],
)
def test_a_state_is_broadcast(name, shapes, masked):
    plain, fused = both(name)
    given = states(*shapes)
    whole = [ops.broadcast_to(state, (2, UNITS)) for state in given]
    mask = ops.convert_to_tensor([[True, True, False, True, False]]) if masked else None
    every = None if mask is None else ops.broadcast_to(mask, (2, 5))
    want = numpy(plain(X, initial_state=whole, mask=every))
    np.testing.assert_allclose(numpy(fused(X, initial_state=given, mask=mask)), want, atol=1e-6)


def test_the_gradient_of_a_broadcast_state_is_the_sum_over_the_batch():
    plain, fused = both("LSTM")

    def loss(layer):
        return lambda state: ops.sum(layer(X, initial_state=[state, state]) ** 2)

    one = ops.ones((1, UNITS))
    want = numpy(uk.grad(loss(plain))(ops.ones((2, UNITS)))).sum(0, keepdims=True)
    np.testing.assert_allclose(numpy(uk.grad(loss(fused))(one)), want, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "shapes", "said"),
    [
        (
            "LSTM",
            [(3, 4), (3, 4)],
            r"state h has shape \(3, 4\).*state c has shape \(3, 4\), allowed is \(2, 4\)",
        ),
        ("LSTM", [(2, 4), (2, 5)], r"state c has shape \(2, 5\)"),
        ("LSTM", [(2, 1), (2, 4)], r"state h has shape \(2, 1\)"),
        ("LSTM", [(2, 4)], "1 tensors, and the layer has h, c"),
        ("LSTM", [(2, 4)] * 3, "3 tensors, and the layer has h, c"),
        ("GRU", [(3, 4)], r"state h has shape \(3, 4\)"),
        ("GRU", [(1, 2, 4)], r"state h has shape \(1, 2, 4\)"),
        ("GRU", [()], r"state h has shape \(\)"),
    ],
)
def test_a_state_that_does_not_fit_is_refused(name, shapes, said):
    _, fused = both(name)
    for mask in (None, ops.ones((2, 5), "bool")):
        with pytest.raises(ArgumentValueError, match=said):
            fused(X, initial_state=states(*shapes), mask=mask)


@pytest.mark.parametrize("shape", [(2, 4), (2, 6), (2, 1), (3, 5)])
@pytest.mark.parametrize("name", ["LSTM", "GRU"])
def test_a_mask_that_does_not_fit_is_refused(name, shape):
    _, fused = both(name)
    with pytest.raises(ArgumentValueError, match="the mask has shape"):
        fused(X, mask=ops.ones(shape, "bool"))


@pytest.mark.parametrize("dtype", ["float64", "int32"])
def test_numbers_of_other_kinds_are_cast(dtype):
    plain, fused = both("LSTM")
    given = [np.ones((2, UNITS), dtype)] * 2
    want = numpy(plain(X, initial_state=[ops.ones((2, UNITS))] * 2))
    np.testing.assert_allclose(numpy(fused(X, initial_state=given)), want, atol=1e-6)
    step = step_of()
    y, _ = step(X, {"cell": {name: np.ones((2, UNITS), dtype) for name in "hc"}})
    begin = {"cell": {name: np.ones((2, UNITS), "float32") for name in "hc"}}
    np.testing.assert_allclose(numpy(y), numpy(step(X, begin)[0]), atol=1e-6)


def step_of():
    if not hasattr(step_of, "made"):
        model = keras.Sequential([keras.Input((None, 3)), layers.LSTM(UNITS, name="cell")])
        step_of.made = uk.stateful(model)
    return step_of.made


ZEROS = np.zeros((2, UNITS), "float32")


@pytest.mark.parametrize(
    ("h", "said"),
    [
        (np.zeros((2, 5)), r"cell/h of shape \(2, 5\), where \('batch', 4\) is due"),
        (np.zeros((2, 4, 1)), r"cell/h of shape \(2, 4, 1\)"),
        (np.full((2, 4), "a"), "cell/h of dtype str"),
        (np.zeros((2, 4), object), "cell/h of dtype object"),
        (np.zeros((2, 4), "complex64"), "cell/h of dtype complex64, where float32 is due"),
        ([[0.0] * 4] * 2, "cell/h as list"),
        (None, "cell/h as NoneType"),
        (1.0, "cell/h as float"),
    ],
)
def test_a_step_names_what_is_wrong_with_a_state(h, said):
    with pytest.raises(SignatureError, match=said):
        step_of()(X, {"cell": {"h": h, "c": ZEROS}})


@pytest.mark.parametrize("size", [1, 3])
def test_a_step_takes_the_batch_size_of_its_state(size):
    step = step_of()
    wrong = rf"state is of batch size {size} and the input of batch size 2; begin with initial_state\(2\)"
    with pytest.raises(SignatureError, match=wrong):
        step(X, step.initial_state(size))
    with pytest.raises(SignatureError, match=wrong):
        step(ops.convert_to_tensor(X), step.initial_state(size))
    one = [np.zeros((size, UNITS), "float32")] * 2
    with pytest.raises(SignatureError, match=r"batch size 3|2 are due|batch size 1") as caught:
        step.turns([X[:1]], [one if size == 3 else one[:1]])
    assert "state" in str(caught.value)


def test_a_step_without_a_state_names_initial_state():
    with pytest.raises(ArgumentError, match=r"second argument: begin with initial_state\(batch_size\)"):
        step_of()(X)


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (["a"], r"input x has to be .*\(batch, time, 3\); received str 'a'"),
        (None, "received NoneType"),
        (X.tolist(), "expected the inputs x as tensors or arrays; received list"),
        (X[0], r"received shape \(5, 3\)"),
        (X[..., :2], r"received shape \(2, 5, 2\)"),
        (X[:0], "at least one sequence"),
        (X[:, :0], "at least one step"),
        (np.full((2, 5, 3), "a"), "of float32; received dtype str"),
    ],
)
def test_a_step_names_what_is_wrong_with_an_input(x, said):
    step = step_of()
    with pytest.raises(SignatureError, match=said):
        step(x, step.initial_state(2))


def test_inputs_of_different_batch_sizes_are_refused():
    a, b = keras.Input((None, 3), name="a"), keras.Input((None, 2), name="b")
    step = uk.stateful(keras.Model([a, b], layers.GRU(4)(layers.Concatenate()([a, b]))))
    with pytest.raises(SignatureError, match=r"one batch size; received \[2, 3\]"):
        step([X, np.zeros((3, 5, 2), "float32")], step.initial_state(2))


def test_truncated_training_names_what_it_does_not_take():
    model = keras.Sequential([keras.Input((None, 3)), layers.GRU(2, return_sequences=True)])
    trainer = uk.training.tbptt(model, chunk=2)
    trainer.compile(optimizer="sgd", loss="mse")
    y = np.zeros((2, 5, 2), "float32")
    with pytest.raises(
        ArgumentValueError, match=r"sample_weight is not.*class_weight is not.*validation_split is"
    ):
        trainer.fit(X, y, sample_weight=np.ones(2), class_weight={0: 1.0}, validation_split=0.5)
    with pytest.raises(ArgumentValueError, match="sample_weight is not supported"):
        trainer.evaluate(X, y, sample_weight=np.ones(2))
    with pytest.raises(ArgumentValueError, match=r"validation_data has to be \(x, y\).*weight the loss"):
        trainer.fit(X, y, validation_data=(X, y, np.ones(2)))
    with pytest.raises(ArgumentValueError, match="y is missing"):
        trainer.fit(X)
