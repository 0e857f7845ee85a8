"""How the demo measures the distance of the backends, in cases with a known answer."""

from __future__ import annotations

import numpy as np
import pytest

from unikeras.apps.demo.agreement import (
    loss_agreement,
    probability_difference,
    relative_difference,
    same_predictions,
)

CURVE = [2.0 / (i + 1) for i in range(30)]


def _off(step: int, by: float) -> list[float]:
    return [value * (1 + by) if i == step else value for i, value in enumerate(CURVE)]


def test_equal_losses_agree():
    agreement = loss_agreement({"a": CURVE, "b": list(CURVE)})
    assert agreement is not None
    assert (agreement["max_relative_difference"], agreement["agree"], agreement["steps"]) == (0.0, True, 20)


@pytest.mark.parametrize(("by", "agree"), [(0.9e-3, True), (1.2e-3, False), (-1.2e-3, False)])
def test_the_limit_is_one_in_a_thousand(by, agree):
    agreement = loss_agreement({"a": CURVE, "b": CURVE, "c": _off(19, by)})
    assert agreement is not None
    assert agreement["agree"] is agree
    assert agreement["max_relative_difference"] == pytest.approx(abs(by), rel=0.01)
    assert "c" in agreement["worst_pair"]


def test_only_the_first_20_steps_count():
    agreement = loss_agreement({"a": CURVE, "b": _off(20, 0.5)})
    assert agreement is not None
    assert agreement["agree"]


def test_short_trainings_are_compared_as_far_as_they_go():
    agreement = loss_agreement({"a": CURVE[:3], "b": CURVE[:5]})
    assert agreement is not None
    assert (agreement["steps"], agreement["agree"]) == (3, True)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_is_a_disagreement(value):
    agreement = loss_agreement({"a": CURVE, "b": CURVE, "c": [value, *CURVE[1:]]})
    assert agreement is not None
    assert not agreement["agree"]
    assert "c" in agreement["worst_pair"]


def test_two_that_both_are_no_numbers_do_not_agree():
    agreement = loss_agreement({"a": [float("nan")], "b": [float("nan")]})
    assert agreement is not None
    assert (agreement["agree"], agreement["max_relative_difference"]) == (False, None)


def test_one_backend_has_nobody_to_agree_with():
    assert loss_agreement({"a": CURVE}) is None
    assert relative_difference({"a": CURVE}).size == 0
    assert same_predictions({"a": np.ones((1, 1))}) is None
    assert probability_difference({"a": np.ones((1, 1))}) == {"a": None}


def test_losses_of_zero_agree():
    assert relative_difference({"a": [0.0, 1.0], "b": [0.0, 0.5]}).tolist() == [0.0, 0.5]


def test_probabilities_are_compared_with_each_other_backend():
    a, b, c = np.array([[0.1, 0.9]]), np.array([[0.2, 0.8]]), np.array([[0.6, 0.4]])
    difference = probability_difference({"a": a, "b": b, "c": c})
    assert difference == {"a": pytest.approx(0.5), "b": pytest.approx(0.4), "c": pytest.approx(0.5)}
    assert same_predictions({"a": a, "b": b, "c": c}) == 0
    assert same_predictions({"a": a, "b": b}) == 1
