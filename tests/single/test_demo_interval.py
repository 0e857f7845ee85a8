"""The interval of an accuracy, against numbers from the literature and in its corners."""

from __future__ import annotations

import pytest

from unikeras.apps.demo.interval import wilson


# Newcombe, "Two-sided confidence intervals for the single proportion" (1998), table I, method 3.
@pytest.mark.parametrize(
    ("right", "total", "ends"),
    [
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
    ],
)
def test_it_is_what_newcombe_printed(right, total, ends):
    assert wilson(right, total) == pytest.approx(ends, abs=5e-5)


def test_it_lies_in_the_range_and_around_the_share():
    for right in range(360):
        low, high = wilson(right, 359)
        assert 0 <= low <= right / 359 <= high <= 1
    assert wilson(359, 359)[0] == pytest.approx(0.9894, abs=5e-5)  # 359 / (359 + z²)


def test_wrong_and_right_are_symmetric():
    low, high = wilson(353, 359)
    assert wilson(6, 359) == pytest.approx((1 - high, 1 - low))
