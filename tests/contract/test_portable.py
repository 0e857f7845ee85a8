"""Where random numbers are portable: what the block changes, what it gives back, and what keeps its draws."""

from __future__ import annotations

import random as python_random
import threading

import numpy as np
import pytest
from keras import initializers, layers, ops, random

import unikeras as uk
from unikeras.errors import StateError


def _numpy(x):
    return np.asarray(ops.convert_to_numpy(x))


def _unit(**kwargs):
    return _numpy(random.uniform((4,), **kwargs))


def _equal(a, b):
    return np.array_equal(_numpy(a), _numpy(b))


def test_the_block_begins_at_its_seed_each_time():
    def run(seed):
        with uk.random.portable(seed):
            dense, drop = layers.Dense(3), layers.Dropout(0.5)
            dropped = _numpy(drop(dense(ops.ones((8, 4))), training=True))
            return [_unit(), _unit(), dropped, np.random.rand(3), python_random.random()]

    first, again, other = run(5), run(5), run(6)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not any(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_seeds_of_unseeded_objects_are_equal_on_every_backend():
    with uk.random.portable(5):
        seeds = [initializers.HeNormal().seed for _ in range(2)]
        state = _numpy(random.SeedGenerator().state.value).tolist()
    assert [*seeds, *state] == SEEDS


SEEDS = [232756171, 390317230, 102450407, 0]


def test_former_generators_come_back_after_an_exception_too():
    def draw():
        return _unit().tolist(), python_random.random(), np.random.rand(), initializers.HeNormal().seed

    python_random.seed(1)
    np.random.seed(1)
    draw()
    kept = python_random.getstate(), np.random.get_state()

    def fail():
        with uk.random.portable(7):
            draw()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert python_random.getstate() == kept[0]
    assert all(np.array_equal(a, b) for a, b in zip(np.random.get_state(), kept[1], strict=True))


def test_generators_of_the_framework_come_back():
    """keras.random.dropout without a seed draws from torch's; TensorFlow's data is shuffled from TensorFlow's."""
    backend = uk.backends.current()
    before = backend.generator_state()
    backend.seed_generators(3)
    expected = _framework_draws(3)
    backend.seed_generators(3)
    drawn = _framework_draws(1)
    with uk.random.portable(7):
        inside = _framework_draws(2)
    drawn += _framework_draws(2)
    backend.restore_generator_state(before)
    assert drawn == expected
    assert not expected or inside != expected[:2]


def _framework_draws(count):
    if uk.backend() == "torch":
        import torch

        return [float(torch.rand(())) for _ in range(count)]
    if uk.backend() == "tensorflow":
        from tensorflow.python.eager import context

        return [context.internal_operation_seed() for _ in range(count)]
    return []


def test_without_with_it_holds_until_close_and_blocks_nest():
    outside = uk.random.portable(1)
    first = _unit()
    with uk.random.portable(2):
        inner = _unit()
    second = _unit()
    outside.close()
    outside.close()
    with uk.random.portable(1):
        np.testing.assert_array_equal([_unit(), _unit()], [first, second])
    with uk.random.portable(2):
        np.testing.assert_array_equal(_unit(), inner)
    with pytest.raises(StateError, match="closed"), outside:
        pass


def test_closing_the_outer_one_closes_the_inner_one():
    outer, inner = uk.random.portable(1), uk.random.portable(2)
    outer.close()
    with pytest.raises(StateError, match="closed"), inner:
        pass
    assert not uk.random.is_portable()


def test_what_was_made_inside_keeps_its_draws():
    x = ops.ones((3, 8))
    with uk.random.portable(1):
        expected = _numpy(layers.Dropout(0.5)(x, training=True))
        kernel = _numpy(layers.Dense(5)(x))
        weights = _numpy(initializers.HeNormal(seed=3)((4,)))
        numbers = _unit(seed=5)
    with uk.random.portable(1):
        drop, dense = layers.Dropout(0.5), layers.Dense(5)
        initializer = initializers.HeNormal(seed=3)
        traced = uk.function(lambda x: x + random.uniform((4,), seed=5))
        traced(ops.zeros(()))
    assert _equal(drop(x, training=True), expected)
    assert _equal(dense(x), kernel)
    assert _equal(initializer((4,)), weights)
    assert _equal(traced(ops.zeros(())), numbers)
    assert traced.trace_count == 1
    assert _equal(traced(ops.zeros((4,))), numbers)  # a new program of the same function


def test_a_function_from_outside_is_traced_anew_inside_and_has_its_own_draws_afterwards():
    f = uk.function(lambda: random.normal((4,), seed=5))
    own = _numpy(f())
    with uk.random.portable(1):
        assert _equal(f(), random.normal((4,), seed=5))
    assert _equal(f(), own)
    assert f.trace_count == 2


def _own_numbers():
    """Draws that are portable are others, except that Keras on JAX has the same uniform and normal numbers."""
    return [_unit(seed=5), _numpy(random.normal((4,), seed=5)), _numpy(random.gamma((4,), 2.0, seed=5))]


def test_outside_keras_draws_its_own_numbers():
    own = _own_numbers()
    with uk.random.portable(1):
        portable = _own_numbers()
    after = _own_numbers()
    np.testing.assert_array_equal(after, own)
    assert not np.array_equal(portable[2], own[2])


def test_the_state_goes_on_where_it_was():
    with uk.random.portable(5) as numbers:
        _unit(), initializers.HeNormal()
        state = numbers.state
        following = _unit(), initializers.HeNormal().seed
        numbers.restore(state)
        again = _unit(), initializers.HeNormal().seed
    assert state["seed"] == 5
    assert (state["objects"], state["draws"][1]) == (1, 1)
    with uk.random.portable(9) as numbers:
        numbers.restore(state)
        elsewhere = _unit(), initializers.HeNormal().seed
    for unit, seed in (again, elsewhere):
        assert seed == following[1]
        np.testing.assert_array_equal(unit, following[0])


@pytest.mark.parametrize(
    "state",
    [{}, {"seed": 1}, {"algorithm": "lanes", "seed": 1, "objects": 0, "draws": [1, 2]}, None, {"seed": -1}],
)
def test_a_state_of_something_else_is_refused(state):
    with uk.random.portable(5) as numbers, pytest.raises(ValueError, match="state"):
        numbers.restore(state)


@pytest.mark.parametrize(
    ("seed", "error"), [(-1, ValueError), (2**64, ValueError), (1.0, TypeError), (True, TypeError)]
)
def test_bad_seeds_are_refused(seed, error):
    with pytest.raises(error, match="seed must be"):
        uk.random.portable(seed)
    assert not uk.random.is_portable()


def test_numpy_integers_and_large_seeds_are_seeds():
    drawn = []
    for seed in (np.int64(5), 5, 2**64 - 1, 2**32 + 5):
        with uk.random.portable(seed):
            drawn.append(_unit().tobytes())
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) == 3


def test_an_unknown_algorithm_is_refused():
    with pytest.raises(ValueError, match="'threefry2x32'"):
        uk.random.portable(1, algorithm="lanes")


def test_it_holds_for_all_threads_which_draw_from_streams_of_their_own():
    found = {}

    def work(name):
        found[name] = _unit(seed=5), _unit()

    with uk.random.portable(1):
        threads = [threading.Thread(target=work, args=(name,)) for name in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        work("here")
    assert all(np.array_equal(seeded, found["here"][0]) for seeded, _ in found.values())
    assert len({unseeded.tobytes() for _, unseeded in found.values()}) == 4


def test_unseeded_draws_advance_in_a_program():
    if uk.backend() == "jax":
        with uk.random.portable(1), pytest.raises(ValueError, match="seeded random ops"):
            uk.function(lambda: random.uniform((4,)))()
        return
    with uk.random.portable(1):
        eager = [_unit() for _ in range(3)]
    with uk.random.portable(1):
        draw = uk.function(lambda: random.uniform((4,)))
        np.testing.assert_array_equal([_numpy(draw()) for _ in range(3)], eager)


def test_hooks_can_be_taken_back_and_come_again():
    own = _own_numbers()
    with uk.random.portable(1):
        expected = _own_numbers()
        uk.testing.uninstall_hooks()
        np.testing.assert_array_equal(_own_numbers(), own)
    with uk.random.portable(1):
        np.testing.assert_array_equal(_own_numbers(), expected)
