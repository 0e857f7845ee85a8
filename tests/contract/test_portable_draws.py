"""Portable draws: the same bits on every backend, eager and compiled, and the right distributions."""

from __future__ import annotations

import hashlib
import math
import warnings

import numpy as np
import pytest
from keras import ops, random

import unikeras as uk
from unikeras.errors import TraceError

LOGITS = np.linspace(-1, 1, 40, dtype="float32").reshape(5, 8)
ROWS = np.arange(60, dtype="int32").reshape(6, 10)


def _numpy(x):
    return np.asarray(ops.convert_to_numpy(ops.cast(x, "float32") if "bfloat16" in str(x.dtype) else x))


def _draws():
    """Name -> a draw from a seed, and the digest of its bits; where a draw has no digest, its last bits may differ."""
    # Digests are those of jax.random for the same key, for uniform, randint, dropout and shuffle along axis 0.
    return {
        "uniform": (lambda seed: random.uniform((30, 101), seed=seed), "1dc8f61d7cfa"),
        "uniform_range": (lambda seed: random.uniform((30, 101), -0.3, 0.9, seed=seed), "e7cf42b5a6fb"),
        "uniform_scalar": (lambda seed: random.uniform((), seed=seed), "1ddccc866d3b"),
        "uniform_empty": (lambda seed: random.uniform((3, 0), seed=seed), "e3b0c44298fc"),
        "uniform_large": (lambda seed: random.uniform((200, 500), -1, 1, seed=seed), "515a9d8b79db"),
        "uniform_float16": (lambda seed: random.uniform((9, 11), dtype="float16", seed=seed), "9b997177efa2"),
        "uniform_bfloat16": (
            lambda seed: random.uniform((9, 11), dtype="bfloat16", seed=seed),
            "b37ede8b33a8",
        ),
        "uniform_limits": (
            lambda seed: random.uniform((9, 11), ops.zeros(()) - 0.3, ops.ones(()), seed=seed),
            "228650897322",
        ),
        "normal": (lambda seed: random.normal((30, 101), seed=seed), "fce4f2cddd5f"),
        "normal_scaled": (lambda seed: random.normal((30, 101), 1.5, 0.3, seed=seed), "0aabb7739711"),
        "normal_large": (lambda seed: random.normal((200, 500), seed=seed), "3471d005a250"),
        "normal_float16": (lambda seed: random.normal((9, 11), dtype="float16", seed=seed), "b577c192b6b2"),
        "normal_bfloat16": (lambda seed: random.normal((9, 11), dtype="bfloat16", seed=seed), "b39e87bba924"),
        "truncated_normal": (
            lambda seed: random.truncated_normal((30, 101), 1, 2, seed=seed),
            "30c8b6c9aa6e",
        ),
        "randint": (lambda seed: random.randint((30, 101), -5, 1000, seed=seed), "fd5953227c89"),
        "randint_wide": (
            lambda seed: random.randint((30, 101), -(2**31), 2**31 - 1, seed=seed),
            "8152dd4962e9",
        ),
        "randint_uint8": (
            lambda seed: random.randint((9, 11), 0, 256, dtype="uint8", seed=seed),
            "4e6db51e26bf",
        ),
        "categorical": (lambda seed: random.categorical(LOGITS, 100, seed=seed), "fb822ad69fb4"),
        "dropout": (
            lambda seed: random.dropout(np.full((30, 101), 1.7, "float32"), 0.3, seed=seed),
            "ef7ef7167209",
        ),
        "dropout_noise_shape": (
            lambda seed: random.dropout(
                np.ones((6, 7, 5), "float32"), 0.5, noise_shape=(None, 1, 5), seed=seed
            ),
            "88c578d8f189",
        ),
        "shuffle": (lambda seed: random.shuffle(np.arange(2000, dtype="int32"), seed=seed), "6d76e2b077a7"),
        "shuffle_rows": (lambda seed: random.shuffle(ROWS, seed=seed), "46f5a682699a"),
        "shuffle_axis": (lambda seed: random.shuffle(ROWS, axis=-1, seed=seed), "90a256ce5880"),
        "gamma": (lambda seed: random.gamma((20, 30), 2.3, seed=seed), None),
        "gamma_small": (lambda seed: random.gamma((20, 30), 0.3, seed=seed), None),
        "beta": (lambda seed: random.beta((20, 30), 0.5, 1.5, seed=seed), None),
    }


DRAWS = _draws()


def _has_64_bits(x):
    return "float64" in str(x.dtype)


def _digest(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:12]


@pytest.mark.rotated("name", parts=4)
@pytest.mark.parametrize("name", DRAWS)
def test_a_draw_has_the_same_bits_everywhere(name):
    draw, digest = DRAWS[name]
    with uk.random.portable(0):
        eager = _numpy(draw(random.SeedGenerator(11)))
        compiled = uk.function(draw)
        traced = _numpy(compiled(random.SeedGenerator(11)))
    assert compiled.trace_count == 1
    if digest is None:
        np.testing.assert_allclose(traced, eager, rtol=2e-6, atol=1e-30)
    else:
        assert [_digest(eager), _digest(traced)] == [digest] * 2


def test_every_function_of_keras_random_is_here():
    functions = {name for name in dir(random) if name.islower() and callable(getattr(random, name))}
    assert functions - {"binomial"} == {name for name in DRAWS if hasattr(random, name)}


def test_numbers_are_those_of_keras_on_jax():
    """What jax.random.uniform and .randint give for the key (11, 0), as they are printed."""
    with uk.random.portable(0):
        unit = _numpy(random.uniform((3,), seed=11))
        whole = _numpy(random.randint((4,), 0, 100, seed=11))
    np.testing.assert_array_equal(unit, np.array(UNIT, "float32"))
    assert whole.tolist() == WHOLE


UNIT = [0.7654033, 0.004327655, 0.5595068]
WHOLE = [9, 57, 99, 36]


def test_xla_and_inductor_draw_the_same():
    draw = DRAWS["normal_scaled"][0]
    with uk.random.portable(0):
        fused = uk.function(lambda seed: draw(seed) * 2.0 + 1.0, jit_compile=uk.backend() != "torch")
        eager = _numpy(draw(random.SeedGenerator(11)))
        np.testing.assert_allclose(
            _numpy(fused(random.SeedGenerator(11))), eager * 2 + 1, rtol=1e-6, atol=1e-6
        )


def test_shapes_may_be_dynamic():
    """The n-th number does not depend on how many there are."""
    with uk.random.portable(0):
        noisy = uk.function(lambda x: x + random.uniform(ops.shape(x), seed=5))
        shuffled = uk.function(lambda x: random.shuffle(x, seed=5))
        whole = _numpy(random.uniform((50000,), seed=5))
        for rows in (3, 4, 7, 5000):
            drawn = _numpy(noisy(np.zeros((rows, 10), "float32")))
            np.testing.assert_array_equal(drawn.ravel(), whole[: rows * 10])
            order = np.arange(rows, dtype="int32")
            np.testing.assert_array_equal(_numpy(shuffled(order)), _numpy(random.shuffle(order, seed=5)))


def test_seeds_may_be_generators_numbers_states_or_none():
    with uk.random.portable(3):
        generator = random.SeedGenerator(5)
        state = ops.convert_to_tensor(np.array([5, 0]), dtype=generator.state.dtype)
        first = _numpy(random.uniform((4,), seed=generator))
        np.testing.assert_array_equal(_numpy(random.uniform((4,), seed=5)), first)
        np.testing.assert_array_equal(_numpy(random.uniform((4,), seed=state)), first)
        second = _numpy(random.uniform((4,), seed=generator))
        unseeded = [_numpy(random.uniform((4,))) for _ in range(3)]
    drawn = [first, second, *unseeded]
    assert len({array.tobytes() for array in drawn}) == len(drawn)


def test_neighboring_seeds_have_nothing_in_common():
    """Keras on PyTorch adds the words of a state: there, seed 5's second draw is seed 6's first."""
    with uk.random.portable(0):
        numbers = set()
        for seed in range(4, 8):
            generator = random.SeedGenerator(seed)
            for _ in range(4):
                numbers.add(_numpy(random.randint((4,), 0, 2**30, seed=generator)).tobytes())
    assert len(numbers) == 16


def _moments(x):
    return float(x.mean()), float(x.std())


def test_distributions_are_what_they_are_called():
    with uk.random.portable(0):
        normal = _numpy(random.normal((20000,), seed=1)).astype("float64")
        cut = _numpy(random.truncated_normal((20000,), seed=1)).astype("float64")
        gammas = {a: _numpy(random.gamma((20000,), a, seed=1)).astype("float64") for a in (0.3, 1.0, 4.0)}
        betas = _numpy(random.beta((20000,), 2.0, 3.0, seed=1)).astype("float64")
        classes = _numpy(random.categorical(np.log([[0.1, 0.2, 0.7]]).astype("float32"), 20000, seed=1))
        counts = _numpy(random.binomial((20000,), 10, 0.3, seed=1))
        dropped = _numpy(random.dropout(np.ones(20000, "float32"), 0.3, seed=1))
    np.testing.assert_allclose(_moments(normal), (0, 1), atol=0.02)
    assert abs((normal**4).mean() - 3) < 0.2
    assert np.abs(cut).max() < 2
    np.testing.assert_allclose(_moments(cut), (0, 0.8796), atol=0.02)
    for alpha, drawn in gammas.items():
        np.testing.assert_allclose(_moments(drawn), (alpha, math.sqrt(alpha)), rtol=0.03)
    np.testing.assert_allclose(_moments(betas), (0.4, 0.2), atol=0.01)
    np.testing.assert_allclose(np.bincount(classes[0]) / 20000, (0.1, 0.2, 0.7), atol=0.01)
    np.testing.assert_allclose(_moments(counts), (3, math.sqrt(2.1)), atol=0.03)
    np.testing.assert_allclose(dropped.mean(), 1, atol=0.02)


def test_numbers_of_64_bits_have_all_their_digits():
    with uk.random.portable(0), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        drawn = random.uniform((1000,), dtype="float64", seed=1)
        normal = random.normal((1000,), dtype="float64", seed=1)
        wide = (
            [random.randint((1000,), -(2**40), 2**61, dtype="int64", seed=1)] if _has_64_bits(drawn) else []
        )
    if not wide:
        return  # JAX without jax_enable_x64 has no such tensors
    assert -(2**40) <= _numpy(wide[0]).min() < _numpy(wide[0]).max() < 2**61
    assert _digest(_numpy(wide[0])) == "ea7e0f7c9768"
    assert np.any(_numpy(drawn) != _numpy(drawn).astype("float32"))
    assert [_digest(_numpy(drawn)), round(float(_numpy(normal)[0]), 12)] == ["23653cedafad", 0.535777196872]


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint16", "uint32", "int64"])
def test_integers_of_all_dtypes_stay_within_their_limits(dtype):
    low, high = (0, 2**32) if dtype == "uint32" else (-100, 100) if dtype[0] == "i" else (100, 60000)
    with uk.random.portable(0), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # JAX without jax_enable_x64 has int32 in place of int64
        drawn = _numpy(random.randint((5000,), low, high, dtype=dtype, seed=1)).astype("int64")
    assert low <= drawn.min() < low + (high - low) / 50
    assert high - (high - low) / 50 < drawn.max() < high


def test_gradients_pass_through_dropout_shuffle_and_limits():
    x = ops.convert_to_tensor(np.linspace(1, 2, 12, dtype="float32").reshape(3, 4))

    def f(x, low):
        drawn = [
            random.dropout(x, 0.5, seed=1),
            random.shuffle(x, seed=1),
            random.uniform((3, 4), low, 2 * low, seed=1),
        ]
        return ops.sum(ops.stack([ops.sum(value**2) for value in drawn]))

    with uk.random.portable(0):
        dropped = _numpy(random.dropout(ops.ones_like(x), 0.5, seed=1))
        unit = _numpy(random.uniform((3, 4), seed=1))
        gradient, of_low = uk.grad(f, argnums=(0, 1))(x, ops.convert_to_tensor(1.5))
    np.testing.assert_allclose(_numpy(gradient), 2 * _numpy(x) * (dropped**2 + 1), rtol=1e-5)
    np.testing.assert_allclose(float(of_low), np.sum(2 * 1.5 * (1 + unit) ** 2), rtol=1e-5)


BAD = {
    "randint_empty": (lambda: random.randint((3,), 5, 5, seed=1), ValueError, "from 5 to 5"),
    "randint_dtype": (lambda: random.randint((3,), 0, 300, dtype="int8", seed=1), ValueError, "within int8"),
    "randint_float": (lambda: random.randint((3,), 0.5, 3, seed=1), ValueError, "one whole number"),
    "randint_of_floats": (
        lambda: random.randint((3,), 0, 3, dtype="float32", seed=1),
        ValueError,
        "integer `dtype`",
    ),
    "uniform_of_integers": (
        lambda: random.uniform((3,), dtype="int32", seed=1),
        ValueError,
        "floating point",
    ),
    "seed": (lambda: random.uniform((3,), seed="one"), ValueError, "`seed` must be"),
    "logits": (lambda: random.categorical(np.zeros(3, "float32"), 2, seed=1), ValueError, "2-D tensor"),
    "too_many": (lambda: random.uniform((2**17, 2**17), seed=1), ValueError, r"at most 2\*\*32"),
    "float8": (lambda: random.uniform((3,), dtype="float8_e4m3fn", seed=1), ValueError, "float8"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_arguments_are_refused(name):
    call, error, message = BAD[name]
    with uk.random.portable(0), pytest.raises(error, match=message):
        call()


def test_a_binomial_draw_cannot_be_traced_and_says_so():
    with uk.random.portable(0):
        drawn = _numpy(random.binomial((4,), 20, 0.3, seed=1))
        assert drawn.tolist() == [6.0, 8.0, 6.0, 5.0]
        seeded = uk.function(lambda state: random.binomial((4,), 20, 0.3, seed=state), jit_compile=True)
        state = random.SeedGenerator(1).next()
        with pytest.raises(TraceError, match="binomial draws on the host"):
            seeded(state)


def test_a_tape_and_vmap_draw_alike():
    with uk.random.portable(0):
        batch = uk.vmap(lambda row: row + random.uniform((4,), seed=1))(ops.zeros((3, 4)))
        row = _numpy(random.uniform((4,), seed=1))
    np.testing.assert_array_equal(_numpy(batch), np.tile(row, (3, 1)))
