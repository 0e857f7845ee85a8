"""Rules of torch's random operators: what is drawn has torch's distribution, and follows the seed."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from unikeras.interop import operators

ONES = np.ones((40, 50, 6), "float32")


def drawn(operator, *args, seed=0, **kwargs):
    rule = operators.find(operator)
    result = rule.compute(*args, **kwargs, seed=keras.random.SeedGenerator(seed))
    return [ops.convert_to_numpy(part) for part in (result if isinstance(result, tuple) else [result])]


DRAWS = {
    "dropout": ("aten.dropout.default", (ONES, 0.25, True), 1.0, {0.0, 1 / 0.75}),
    "native_dropout": ("aten.native_dropout.default", (ONES, 0.25, True), 1.0, {0.0, 1 / 0.75}),
    "feature_dropout": ("aten.feature_dropout.default", (ONES, 0.25, True), 1.0, {0.0, 1 / 0.75}),
    "bernoulli": ("aten.bernoulli.p", (ONES, 0.25), 0.25, {0.0, 1.0}),
    "bernoulli_of_chances": ("aten.bernoulli.default", (ONES * 0.25,), 0.25, {0.0, 1.0}),
    "rand": ("aten.rand.default", ([200, 60],), 0.5, None),
    "rand_like": ("aten.rand_like.default", (ONES,), 0.5, None),
    "randn": ("aten.randn.default", ([200, 60],), 0.0, None),
    "randn_like": ("aten.randn_like.default", (ONES,), 0.0, None),
    "randint": ("aten.randint.default", (3, [200, 60]), 1.0, {0, 1, 2}),
    "randint_low": ("aten.randint.low", (2, 5, [200, 60]), 3.0, {2, 3, 4}),
    "uniform": ("aten.uniform.default", (ONES, 2.0, 4.0), 3.0, None),
    "normal": ("aten.normal_functional.default", (ONES, 2.0, 0.5), 2.0, None),
}


@pytest.mark.parametrize("name", DRAWS)
def test_draws_have_the_mean_and_the_values_of_torch(name):
    operator, args, mean, values = DRAWS[name]
    args = [ops.convert_to_tensor(arg) if isinstance(arg, np.ndarray) else arg for arg in args]
    first, *_ = drawn(operator, *args)
    assert abs(float(first.mean()) - mean) < 0.06
    if values is not None:
        np.testing.assert_allclose(np.unique(first), sorted(values), rtol=1e-6)
    np.testing.assert_array_equal(first, drawn(operator, *args)[0])
    assert not np.array_equal(first, drawn(operator, *args, seed=1)[0])


@pytest.mark.parametrize("name", ["feature_dropout", "feature_alpha_dropout"])
def test_channels_are_dropped_as_a_whole(name):
    y = drawn(f"aten.{name}.default", ops.convert_to_tensor(ONES), 0.5, True)[0]
    assert np.array_equal(y, np.broadcast_to(y[:, :, :1], y.shape))
    assert len(np.unique(y)) == 2


def test_alpha_dropout_keeps_mean_and_variance():
    x = np.random.default_rng(0).normal(size=(200, 100)).astype("float32")
    y = drawn("aten.alpha_dropout.default", ops.convert_to_tensor(x), 0.3, True)[0]
    assert abs(float(y.mean())) < 0.05
    assert abs(float(y.std()) - 1) < 0.05


@pytest.mark.parametrize("name", ["dropout", "feature_dropout", "alpha_dropout", "native_dropout"])
def test_nothing_is_dropped_at_inference(name):
    y = drawn(f"aten.{name}.default", ops.convert_to_tensor(ONES), 0.5, False)[0]
    np.testing.assert_array_equal(y, ONES)


def test_all_is_dropped_where_the_share_is_one():
    for name in ("dropout", "feature_dropout", "alpha_dropout"):
        assert not drawn(f"aten.{name}.default", ops.convert_to_tensor(ONES), 1.0, True)[0].any()
