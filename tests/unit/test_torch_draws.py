"""Random draws of a traced program on PyTorch: at each run, Keras' numbers for the seed's state of that run."""

from __future__ import annotations

import keras
import numpy as np
import pytest

torch = pytest.importorskip("torch")
if keras.backend.backend() != "torch":
    pytest.skip("of the torch backend", allow_module_level=True)

from keras import layers, random  # noqa: E402 - where there is torch
from torch.fx.experimental.proxy_tensor import make_fx  # noqa: E402

from unikeras.backends.torch import _augmentation, _draws  # noqa: E402

X = torch.linspace(-1.0, 1.0, 24).reshape(4, 6)
SEQUENCE = torch.linspace(-1.0, 1.0, 60).reshape(3, 5, 4)
IMAGES = torch.linspace(0.0, 1.0, 3 * 8 * 8 * 3).reshape(3, 8, 8, 3).sin().abs()
RANGE = {"value_range": (0, 1)}
STATES = ([7, 0], [7, 5], [-3, 2**31 - 1])


@pytest.fixture
def trace(monkeypatch):
    """Return a function that traces another one over fake tensors, with operators for its draws."""
    tracing = [False]
    for module, name in [(_draws, "_is_tracing"), (_augmentation, "_is_tracing")]:
        monkeypatch.setattr(module, name, getattr(module, name))
        module.install(lambda: tracing[0])

    def traced(f, *inputs, mode="fake"):
        tracing[0] = True
        try:
            return make_fx(f, tracing_mode=mode, _allow_non_fake_inputs=True)(*inputs)
        finally:
            tracing[0] = False

    return traced


def _of_state(call, variables):
    """Return a function of the variables' values and of inputs, which returns the result and the values after it."""

    def run(values, *inputs):
        with keras.StatelessScope(list(zip(variables, values, strict=True))) as scope:
            result = call(*inputs)
        return result, [scope.get_current_value(variable) for variable in variables]

    return run


def _check(trace, call, variables, *inputs):
    """Check a trace against Keras' own run, bitwise, for three states; return how many results there were."""
    run = _of_state(call, variables)
    first = [variable.value.detach().clone() for variable in variables]
    graph = trace(run, first, *inputs)
    seen = set()
    for state in STATES:
        values = [
            torch.tensor(state, dtype=value.dtype)
            if value.shape == (2,) and value.dtype == torch.int32
            else value
            for value in first
        ]
        results = []
        for one in (graph, run):
            torch.manual_seed(state[1])  # for what Keras does not draw from a seed
            results.append(torch.utils._pytree.tree_leaves(one(values, *(value.clone() for value in inputs))))
        for got, want in zip(*results, strict=True):
            assert (got.dtype, got.shape) == (want.dtype, want.shape)
            assert torch.equal(got, want)
        seen.add(results[0][0].detach().to(torch.float64).numpy().tobytes())
    return len(seen)


DRAWS = {
    "normal": lambda seed: random.normal((3, 4), 1.0, 2.0, seed=seed),
    "normal_scalar": lambda seed: random.normal((), 1.0, 2.0, dtype="bfloat16", seed=seed),
    "uniform": lambda seed: random.uniform((3, 4), -1, 2, seed=seed),
    "uniform_scalar": lambda seed: random.uniform((), -1, 2, dtype="float64", seed=seed),
    "truncated_normal": lambda seed: random.truncated_normal((3, 4), 1.0, 2.0, seed=seed),
    "randint": lambda seed: random.randint((3, 4), 0, 200, seed=seed),
    "categorical": lambda seed: random.categorical(X, 9, seed=seed),
    "dropout": lambda seed: random.dropout(X, 0.5, seed=seed),
    "dropout_noise_shape": lambda seed: random.dropout(X, 0.5, noise_shape=(None, 1), seed=seed),
    "shuffle": lambda seed: random.shuffle(X, seed=seed),
    "shuffle_axis": lambda seed: random.shuffle(X, axis=1, seed=seed),
    "gamma": lambda seed: random.gamma((3, 4), 2.0, seed=seed),
    "binomial": lambda seed: random.binomial((3, 4), 20.0, 0.3, seed=seed),
    "beta": lambda seed: random.beta((3, 4), 2.0, 3.0, seed=seed),
    "twice": lambda seed: random.normal((3,), seed=seed) - random.normal((3,), seed=seed),
}


@pytest.mark.parametrize("name", DRAWS)
def test_a_traced_draw_is_that_of_keras(trace, name):
    generator = random.SeedGenerator(7)
    assert _check(trace, lambda: DRAWS[name](generator), [generator.state]) == 3


def test_every_function_of_keras_random_is_here():
    functions = {name for name in dir(random) if name.islower() and callable(getattr(random, name))}
    assert functions == {name for name in DRAWS if hasattr(random, name)}


@pytest.mark.parametrize("name", ["normal", "dropout", "shuffle", "gamma", "categorical"])
def test_a_seed_of_python_is_part_of_the_program(trace, name):
    graph = trace(lambda x: DRAWS[name](5) + x, torch.zeros(()))
    for offset in (0.0, 0.0, 1.0):
        assert torch.equal(graph(torch.tensor(offset)), DRAWS[name](5) + offset)


def test_the_global_seed_is_advanced_by_the_program(trace):
    random.normal(())
    generator = keras.src.random.seed_generator.global_seed_generator()
    assert _check(trace, lambda: random.normal((3,)), [generator.state]) == 3


LAYERS = {
    "Dropout": (lambda: layers.Dropout(0.5, seed=3), X),
    "Dropout_unseeded": (lambda: layers.Dropout(0.5), X),
    "GaussianNoise": (lambda: layers.GaussianNoise(0.5, seed=3), X),
    "GaussianDropout": (lambda: layers.GaussianDropout(0.5, seed=3), X),
    "AlphaDropout": (lambda: layers.AlphaDropout(0.5, seed=3), X),
    "SpatialDropout1D": (lambda: layers.SpatialDropout1D(0.5, seed=3), SEQUENCE),
    "SpatialDropout2D": (lambda: layers.SpatialDropout2D(0.5, seed=3), IMAGES),
    "GRU": (lambda: layers.GRU(3, dropout=0.5, recurrent_dropout=0.3, seed=3), SEQUENCE),
    "RandomBrightness": (lambda: layers.RandomBrightness(0.5, **RANGE, seed=3), IMAGES),
    "RandomColorDegeneration": (lambda: layers.RandomColorDegeneration(0.5, **RANGE, seed=3), IMAGES),
    "RandomContrast": (lambda: layers.RandomContrast(0.5, **RANGE, seed=3), IMAGES),
    "RandomCrop": (lambda: layers.RandomCrop(4, 3, seed=3), IMAGES),
    "RandomErasing": (lambda: layers.RandomErasing(**RANGE, seed=3), IMAGES),
    "RandomFlip": (lambda: layers.RandomFlip(seed=3), IMAGES),
    "RandomGaussianBlur": (lambda: layers.RandomGaussianBlur(1.0, 3, 1.0, **RANGE, seed=3), IMAGES),
    "RandomGrayscale": (lambda: layers.RandomGrayscale(seed=3), IMAGES),
    "RandomHue": (lambda: layers.RandomHue(0.5, **RANGE, seed=3), IMAGES),
    "RandomInvert": (lambda: layers.RandomInvert(**RANGE, seed=3), IMAGES),
    "RandomPosterization": (lambda: layers.RandomPosterization(4, **RANGE, seed=3), IMAGES),
    "RandomRotation": (lambda: layers.RandomRotation(0.2, seed=3), IMAGES),
    "RandomSaturation": (lambda: layers.RandomSaturation(0.5, **RANGE, seed=3), IMAGES),
    "RandomSharpness": (lambda: layers.RandomSharpness(0.5, **RANGE, seed=3), IMAGES),
    "RandomShear": (lambda: layers.RandomShear(0.3, 0.3, seed=3), IMAGES),
    "RandomTranslation": (lambda: layers.RandomTranslation(0.2, 0.2, seed=3), IMAGES),
    "RandomZoom": (lambda: layers.RandomZoom(0.2, seed=3), IMAGES),
}


@pytest.mark.filterwarnings("ignore::UserWarning")  # of torch, about what Keras calls
@pytest.mark.parametrize("name", LAYERS)
def test_a_traced_layer_draws_as_keras_draws(trace, name):
    make, x = LAYERS[name]
    layer = make()
    layer(x.clone(), training=True)
    generator = getattr(layer, "generator", None)  # which augmentation layers do not track
    states = [] if generator is None or generator.state in layer.variables else [generator.state]
    variables = [*layer.variables, *states]
    assert _check(trace, lambda x: layer(x, training=True), variables, x) > 1


def test_gradients_are_those_of_keras(trace):
    """Dropout and shuffle pass gradients on; a uniform draw those of its limits; all others none."""
    generator = random.SeedGenerator(7)
    y = torch.tensor(0.5)

    def gradients(x, y):
        x, y = x.detach().requires_grad_(), y.detach().requires_grad_()
        drawn = [
            random.dropout(x, 0.5, seed=generator),
            random.shuffle(x, seed=generator),
            random.uniform((3,), y, 2 * y, seed=generator),
        ]
        others = [
            random.gamma((3,), y, seed=generator),
            random.beta((3,), y, 1.0, seed=generator),
            random.binomial((3,), 5.0, y, seed=generator),
            random.categorical(x, 2, dtype="float32", seed=generator),
        ]
        assert not any(other.requires_grad for other in others)
        return torch.autograd.grad(sum((value**3).sum() for value in drawn), [x, y])

    _check(trace, gradients, [generator.state], X, y)


def test_shapes_may_be_symbolic(trace):
    def run(state, x):
        generator = random.SeedGenerator(7)
        with keras.StatelessScope([(generator.state, state)]):
            return random.dropout(x, 0.5, seed=generator) + random.normal(keras.ops.shape(x), seed=generator)

    state = torch.tensor([7, 3], dtype=torch.int32)
    graph = trace(run, state, X, mode="symbolic")
    for rows in (4, 9):
        x = torch.ones(rows, 6)
        assert torch.equal(graph(state, x), run(state, x))


@pytest.fixture
def validated():
    # torch.compile turns the checks of distributions off for the whole process.
    torch.distributions.Distribution.set_default_validate_args(True)


def test_what_keras_refuses_is_refused_when_the_program_runs(trace, validated):
    graph = trace(lambda alpha: random.gamma((3,), alpha, seed=5), torch.ones(()))
    with pytest.raises(ValueError, match="GreaterThan"):
        graph(torch.tensor(-1.0))


def test_a_draw_without_an_operator_says_so(trace, monkeypatch):
    monkeypatch.delitem(_draws._OPERATORS, torch.normal)
    with pytest.raises(NotImplementedError, match=r"torch\.normal draws from a seed"):
        trace(lambda x: random.normal((3,), seed=5) + x, X[0, 0])


def test_vmap_refuses_draws_in_a_trace_too(trace):
    def run(x):
        return torch.func.vmap(lambda row: row + random.normal((6,), seed=5))(x)

    for call in (lambda: run(X), lambda: trace(run, X)):
        with pytest.raises(RuntimeError, match="randomness"):
            call()


def test_keras_own_functions_run_where_nothing_is_traced(trace, monkeypatch):
    monkeypatch.setattr(_draws, "_OPERATORS", {})
    assert np.ptp(keras.ops.convert_to_numpy(random.normal((3, 4), seed=5))) > 0
    symbolic = keras.KerasTensor((3, 4))
    assert layers.Dropout(0.5, seed=1)(symbolic, training=True).shape == (3, 4)
