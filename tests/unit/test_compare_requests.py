"""What a comparison refuses, each with one message that says what to do."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import unikeras as uk
from unikeras.errors import ArgumentError, ArgumentValueError, DatasetError, SignatureError, UnikerasError


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((4,), name="x"), keras.layers.Dense(2, name="y")], name="small")


@pytest.fixture
def two():
    left, right = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    return keras.Model([left, right], keras.layers.Add()([left, right]))


def test_all_problems_with_backends_come_at_once(model, here):
    with pytest.raises(UnikerasError) as caught:
        uk.compare.parity(model, backends=[here, here, "nonsense"])
    assert "unknown backend 'nonsense'" in str(caught.value)
    assert f"{here} twice" in str(caught.value)


def test_one_backend_is_not_enough(model, here):
    with pytest.raises(ArgumentValueError, match=f"takes two backends; there is {here}.*against="):
        uk.compare.parity(model, backends=here)


def test_against_is_compared_on_the_backend_in_use(model, here):
    with pytest.raises(ArgumentValueError, match=f"on the backend in use, {here}"):
        uk.compare.parity(model, against=model, backends=["torch", "jax"])


@pytest.mark.parametrize(
    ("options", "problems"),
    [({"steps": -1, "rtol": "tight"}, ["steps is", "rtol is"]), ({"atol": -1.0}, ["atol is"])],
)
def test_numbers_are_checked_together(model, options, problems):
    with pytest.raises(ArgumentValueError) as caught:
        uk.compare.parity(model, against=model, **options)
    assert all(problem in str(caught.value) for problem in problems)


def test_other_things_than_models_are_refused(model):
    with pytest.raises(ArgumentError, match=r"expected a keras\.Model; received int"):
        uk.compare.parity(3, against=model)
    with pytest.raises(ArgumentError, match="against= takes a Keras model"):
        uk.compare.parity(model, against=3)


def test_data_of_the_wrong_shape_names_every_input(two):
    with pytest.raises(SignatureError) as caught:
        uk.compare.parity(two, [np.ones((2, 3)), np.ones((5, 4, 1))], against=two)
    assert "left: float32 (None, 4) received shape (2, 3)" in str(caught.value)
    assert "right: float32 (None, 4) received shape (5, 4, 1)" in str(caught.value)
    with pytest.raises(SignatureError, match="different batch sizes: 2, 3"):
        uk.compare.parity(two, [np.ones((2, 4)), np.ones((3, 4))], against=two)
    with pytest.raises(SignatureError, match="expected the inputs left, right; received names left"):
        uk.compare.parity(two, {"left": np.ones((2, 4))}, against=two)


def test_targets_of_the_wrong_shape_are_refused(model):
    model.compile("sgd", "categorical_crossentropy")
    with pytest.raises(ArgumentValueError, match="y does not fit"):
        uk.compare.parity(model, np.ones((2, 4)), np.ones((2, 3)), against=model)


def test_an_unbuilt_model_needs_data():
    model = keras.Sequential([keras.layers.Dense(2)])
    with pytest.raises(ArgumentValueError, match=r"is not built.*pass x="):
        uk.compare.parity(model, against=model)


def test_a_model_without_weights_and_one_that_is_not_compiled_are_said(model, two):
    assert any("no trainable weights" in note for note in uk.compare.parity(two, against=two).notes)
    report = uk.compare.parity(model, against=model, steps=1)
    assert any("not compiled: Adam" in note for note in report.notes)


def test_a_second_model_with_other_inputs_is_refused(model, two):
    with pytest.raises(SignatureError, match="takes other inputs"):
        uk.compare.parity(model, against=two)


def test_a_file_lacks_inputs_or_has_unknown_ones(two, tmp_path):
    np.savez(tmp_path / "x.npz", left=np.ones((2, 4)), lft=np.ones((2, 4)))
    with pytest.raises(SignatureError, match="lacks right; no input is named lft"):
        uk.compare.parity(two, tmp_path / "x.npz", against=two)
    (tmp_path / "broken.npz").write_bytes(b"nothing")
    with pytest.raises(DatasetError, match=r"no file of numpy\.savez"):
        uk.compare.parity(two, tmp_path / "broken.npz", against=two)
    with pytest.raises(DatasetError):
        uk.compare.parity(two, tmp_path / "absent.npz", against=two)


def test_a_file_gives_inputs_and_targets(model, tmp_path):
    np.savez(tmp_path / "data.npz", x=np.ones((40, 4)), y=np.zeros((40, 2)))
    report = uk.compare.parity(model, tmp_path / "data.npz", against=model, steps=1)
    assert report.equal
    assert any("of 40 examples the first 32" in note for note in report.notes)
