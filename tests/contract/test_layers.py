"""The fused recurrent layers against Keras' own, and against numpy in float64: numbers, states and gradients."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

import unikeras as uk

CLASSES = ["LSTM", "GRU"]
BATCH, TIME, FEATURES, UNITS = 3, 5, 4, 6


def _numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


X = _numbers(BATCH, TIME, FEATURES)
MASKS = {
    "none": None,
    "right": np.array([[1, 1, 1, 1, 0], [1, 1, 0, 0, 0], [1, 1, 1, 1, 1]], bool),
    "left": np.array([[0, 1, 1, 1, 1], [0, 0, 0, 0, 1], [1, 1, 1, 1, 1]], bool),
    "holes": np.array([[0, 1, 0, 1, 1], [0, 0, 0, 0, 0], [1, 0, 0, 1, 0]], bool),
}


def _pair(name: str, **config):
    """Return Keras' layer and ours, of the same weights, none of them zeros."""
    keras.utils.set_random_seed(1)
    given = {"return_sequences": True, "return_state": True, "bias_initializer": "random_normal", **config}
    layers = [getattr(library, name)(UNITS, **given) for library in (keras.layers, uk.layers)]
    for layer in layers:
        layer.build((BATCH, TIME, FEATURES))
    layers[1].set_weights(layers[0].get_weights())
    return layers


def _states(layer, seed: int = 7):
    return [
        ops.convert_to_tensor(_numbers(BATCH, UNITS, seed=seed + i), layer.compute_dtype)
        for i in range(len(layer.state_size))
    ]


def _input(layer):
    return ops.convert_to_tensor(X, layer.compute_dtype)


def _mask(name: str):
    return None if MASKS[name] is None else ops.convert_to_tensor(MASKS[name])


def _total(outputs):
    """Return a scalar to which every output contributes in its own way."""
    weights = [_numbers(*output.shape, seed=20 + i) for i, output in enumerate(outputs)]
    return sum(
        ops.sum(ops.convert_to_tensor(w, o.dtype) * (o + o**2)) for w, o in zip(weights, outputs, strict=True)
    )


def _close(ours, theirs, tolerance: float = 1e-5):
    for a, b in zip(keras.tree.flatten(ours), keras.tree.flatten(theirs), strict=True):
        a, b = (np.asarray(ops.convert_to_numpy(part), "float64") for part in (a, b))
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(1.0, abs(b).max(initial=0.0)))


def _kernel_runs(monkeypatch) -> list[str]:
    """Return a list that fills with the cells for which the backend's kernel gave an answer."""
    kind = type(uk.backends.current())
    own, seen = kind.recurrence, []

    def recurrence(self, cell, *args):
        found = own(self, cell, *args)
        seen.extend([cell] if found is not None else [])
        return found

    monkeypatch.setattr(kind, "recurrence", recurrence)
    return seen


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _lstm(x, h, c, kernel, recurrent, bias):
    i, f, g, o = np.split(x @ kernel + h @ recurrent + bias, 4, -1)
    c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
    return _sigmoid(o) * np.tanh(c), c


def _gru(x, h, kernel, recurrent, bias):
    (zx, rx, nx), (zh, rh, nh) = (
        np.split(x @ kernel + bias[0], 3, -1),
        np.split(h @ recurrent + bias[1], 3, -1),
    )
    z = _sigmoid(zx + zh)
    return (z * h + (1 - z) * np.tanh(nx + _sigmoid(rx + rh) * nh),)


def _by_numpy(name, mask, weights, states):
    """Return the states after each step, and the last; a step that does not count changes nothing."""
    step, outputs = {"LSTM": _lstm, "GRU": _gru}[name], []
    for t in range(TIME):
        new = step(X[:, t], *states, *weights)
        counts = np.ones((BATCH, 1), bool) if mask is None else mask[:, t, None]
        states = [np.where(counts, a, b) for a, b in zip(new, states, strict=True)]
        outputs.append(states[0])
    return np.stack(outputs, 1), states


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("mask", MASKS)
def test_numbers_are_those_of_numpy(name, mask, monkeypatch):
    runs = _kernel_runs(monkeypatch)
    layer = _pair(name)[1]
    first = _states(layer)
    outputs, *last = layer(_input(layer), initial_state=first, mask=_mask(mask))
    assert runs == [name.lower()]
    expected, states = _by_numpy(
        name, MASKS[mask], layer.get_weights(), [ops.convert_to_numpy(state) for state in first]
    )
    if MASKS[mask] is not None:
        counted = MASKS[mask].cumsum(1)[..., None] > 0  # before that, backends of Keras differ
        outputs, expected = (
            np.where(counted, ops.convert_to_numpy(outputs), 0),
            np.where(counted, expected, 0),
        )
    _close([outputs, last], [expected, states], 1e-6)


SETTINGS = [
    ("none", {}),
    ("right", {}),
    ("left", {}),
    ("holes", {}),
    ("none", {"use_bias": False, "go_backwards": True}),
    ("holes", {"use_bias": False, "go_backwards": True}),
    ("left", {"zero_output_for_mask": True}),
    ("holes", {"go_backwards": True, "zero_output_for_mask": True, "return_sequences": False}),
    ("right", {"return_sequences": False, "return_state": False}),
]


def _both(name, mask, with_states=True, **config):
    """Return what both layers give, Keras' first, with the gradients of all that goes in."""
    results = []
    for layer in _pair(name, **config):
        x, states = _input(layer), _states(layer) if with_states else None
        with uk.GradientTape() as tape:
            tape.watch([x, *(states or [])])
            outputs = layer(x, initial_state=states, mask=_mask(mask), training=False)
            outputs = outputs if isinstance(outputs, list | tuple) else [outputs]
            loss = _total(outputs)
        sources = [x, *(states or []), *layer.trainable_variables]
        results.append((list(outputs), tape.gradient(loss, sources)))
    return results


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize(("mask", "config"), SETTINGS)
def test_outputs_and_gradients_are_those_of_keras(name, mask, config, monkeypatch):
    runs = _kernel_runs(monkeypatch)
    theirs, ours = _both(name, mask, **config)
    assert runs == [name.lower()]
    _close(ours, theirs)


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("mask", ["none", "holes"])
def test_without_states_given(name, mask, monkeypatch):
    runs = _kernel_runs(monkeypatch)
    theirs, ours = _both(name, mask, with_states=False)
    assert runs == [name.lower()]
    _close(ours, theirs)
    (given, *_), _ = _both(name, mask)[1]
    assert np.abs(ops.convert_to_numpy(ours[0][0] - given)).max() > 1e-3


# A mask is eager in one layer's tests and compiled in the other's: each way costs seconds on some backend.
CASES = [("LSTM", "none", False), ("LSTM", "holes", True), ("GRU", "holes", False), ("GRU", "none", True)]


@pytest.mark.parametrize(("name", "mask", "compiled"), CASES)
def test_second_derivatives_are_those_of_keras(name, mask, compiled):
    results = []
    for layer in _pair(name):
        sources = [_input(layer), *_states(layer)]

        def second(x, *states, layer=layer):
            sources = [x, *states, *layer.trainable_variables]
            with uk.GradientTape() as outer:
                outer.watch([x, *states])
                with uk.GradientTape() as inner:
                    inner.watch([x, *states])
                    total = _total(layer(x, initial_state=list(states), mask=_mask(mask)))
                gradients = inner.gradient(total, sources)
                length = sum(ops.sum(gradient**2) for gradient in gradients)
            return outer.gradient(length, sources)

        results.append((uk.function(second) if compiled else second)(*sources))
    _close(results[1], results[0], 3e-5)


def _of_input(layer, mask):
    """Return a function of the input alone, that gives a scalar."""
    states = _states(layer)
    return lambda x: _total(layer(x, initial_state=states, mask=_mask(mask)))


@pytest.mark.parametrize(("name", "mask", "compiled"), CASES)
def test_forward_derivatives_are_those_of_keras(name, mask, compiled):
    results = []
    for layer in _pair(name):
        f = _of_input(layer, mask)
        x, v = _input(layer), ops.convert_to_tensor(_numbers(*X.shape, seed=3), "float32")
        if compiled:
            # A program that was traced before forward differentiation comes to it.
            f = uk.function(f)
            f(x)
        results.append([uk.jvp(f, (x,), (v,)), uk.hvp(_of_input(layer, mask), x, v)])
    _close(results[1], results[0], 3e-5)


TRANSFORMS = {
    "hessian": lambda f: uk.hessian(lambda x: ops.sum(f(x) ** 2)),
    "forward": lambda f: uk.jacobian(f, mode="forward"),
    "reverse": lambda f: uk.jacobian(f, mode="reverse"),
    "vmap": lambda f: lambda x: uk.vmap(f)(ops.stack([x, x + 1])),
    "vmap of grad": lambda f: lambda x: uk.vmap(uk.grad(lambda x: ops.sum(f(x) ** 2)))(ops.stack([x, x + 1])),
}


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_transforms_give_what_they_give_of_keras(name, transform):
    results = []
    for layer in _pair(name, return_state=False):
        x = _input(layer)[0, :2]
        results.append(TRANSFORMS[transform](lambda x, layer=layer: layer(x[None])[0])(x))
    _close(results[1], results[0], 3e-5)


LABELS = np.array([0, 1, 1] * 4)
SAMPLES = _numbers(12, TIME, FEATURES, seed=5).astype("float32")


def _classifier(library, name, **config):
    keras.utils.set_random_seed(2)
    layer = getattr(library.layers, name)
    return keras.Sequential(
        [
            keras.Input((TIME, FEATURES)),
            layer(UNITS, return_sequences=True, **config),
            keras.layers.Bidirectional(layer(3, **config)),
            keras.layers.Dense(2),
        ]
    )


def _fitted(model):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.5), loss)
    history = model.fit(SAMPLES, LABELS, batch_size=4, epochs=3, shuffle=False, verbose=0)
    return [history.history["loss"], model.get_weights(), model.predict(SAMPLES, verbose=0)]


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("fit", ["keras.Model", "uk.Model"])
def test_a_model_learns_what_it_learns_of_keras(name, fit, monkeypatch):
    runs = _kernel_runs(monkeypatch)
    as_model = uk.Model.from_keras if fit == "uk.Model" else lambda model: model
    fitted = _fitted(as_model(_classifier(uk, name, dropout=0.3)))
    assert set(runs) == {name.lower()}
    _close(fitted, _fitted(as_model(_classifier(keras, name, dropout=0.3))), 1e-4)


# JAX has float64 where it is asked to have it, and float32 otherwise.
PRECISIONS = [("mixed_bfloat16", 3e-2), ("mixed_float16", 4e-3), ("float64", 2e-6)]


@pytest.mark.filterwarnings("ignore:Explicitly requested dtype float64")
@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("mask", ["none", "holes"])
@pytest.mark.parametrize(("policy", "tolerance"), PRECISIONS)
def test_precisions(name, mask, policy, tolerance):
    theirs, ours = _precise(name, mask, policy)
    assert [str(part.dtype) for part in ours] == [str(part.dtype) for part in theirs]
    _close(ours, theirs, tolerance)


def _precise(name, mask, policy):
    results = []
    for layer in _pair(name, dtype=policy):
        x = _input(layer)
        with uk.GradientTape() as tape:
            tape.watch(x)
            outputs = layer(x, mask=_mask(mask))
            loss = _total(outputs)
        results.append([*outputs, *tape.gradient(loss, [x, *layer.trainable_variables])])
    return results


@pytest.mark.parametrize("name", CLASSES)
def test_a_stateful_layer_goes_on_and_learns(name):
    results = []
    for layer in _pair(name, stateful=True):
        x = _input(layer)
        with uk.GradientTape() as tape:
            first = layer(x)
            loss = _total([*first, *layer(x)])
        gradients = tape.gradient(loss, layer.trainable_variables)
        results.append([first, gradients, [ops.copy(state.value) for state in layer.states]])
        layer.reset_state()
        results[-1].append(layer(x))
    _close(results[1], results[0])
    _close(results[1][3], results[1][0])


ON_KERAS_LOOP = [
    {"activation": "relu"},
    {"recurrent_activation": "hard_sigmoid"},
    {"unroll": True},
    {"use_cudnn": False},
    {"recurrent_dropout": 0.4},
]


@pytest.mark.parametrize(
    ("name", "config"),
    [("LSTM" if i % 2 else "GRU", config) for i, config in enumerate(ON_KERAS_LOOP)]
    + [("GRU", {"reset_after": False})],
)
def test_what_no_kernel_computes_runs_in_keras_loop(name, config, monkeypatch):
    runs = _kernel_runs(monkeypatch)
    results = [layer(_input(layer), training=True) for layer in _pair(name, seed=4, **config)]
    assert not runs
    _close(results[1], results[0])


@pytest.mark.parametrize("name", CLASSES)
def test_dropout_is_that_of_keras(name, monkeypatch):
    runs = _kernel_runs(monkeypatch)
    results = [layer(_input(layer), training=True) for layer in _pair(name, seed=4, dropout=0.4)]
    assert runs
    _close(results[1], results[0])
    plain = _pair(name)[1]
    assert abs(np.asarray(ops.convert_to_numpy(results[1][0] - plain(_input(plain))[0]))).max() > 0.01


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("shape", [(1, 1), (3, 1)])
def test_small_sizes_give_what_they_give_of_keras(name, shape):
    x = ops.convert_to_tensor(np.ones((*shape, FEATURES), "float32"))
    theirs, ours = [layer(x) for layer in _pair(name)]
    assert [tuple(part.shape) for part in ours] == [tuple(part.shape) for part in theirs]
    _close(ours, theirs)


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("shape", [(0, 4), (2, 0)])
def test_without_samples_or_steps_comes_what_comes_of_keras(name, shape):
    x = ops.convert_to_tensor(np.ones((*shape, FEATURES), "float32"))
    outcomes = []
    for layer in _pair(name):
        try:
            outcomes.append([tuple(part.shape) for part in layer(x)])
        except Exception as error:
            outcomes.append(type(error))
    assert outcomes[1] == outcomes[0]


@pytest.mark.parametrize("name", CLASSES)
def test_nan_at_a_masked_step_reaches_nothing(name):
    layer = _pair(name)[1]
    mask = MASKS["holes"]
    x, poisoned = X.astype("float32"), np.where(mask[..., None], X, np.nan).astype("float32")
    results = []
    for values in (x, poisoned):
        values = ops.convert_to_tensor(values)
        with uk.GradientTape() as tape:
            tape.watch(values)
            outputs = layer(values, mask=_mask("holes"))
            loss = _total(outputs)
        results.append([outputs, tape.gradient(loss, [values, *layer.trainable_variables])])
    _close(results[1], results[0])


@pytest.mark.parametrize("name", CLASSES)
def test_configs_and_wrappers_keep_the_layer(name):
    layer = getattr(uk.layers, name)(4, go_backwards=True, zero_output_for_mask=True, seed=3)
    again = type(layer).from_config(layer.get_config())
    theirs = getattr(keras.layers, name)(4, go_backwards=True, zero_output_for_mask=True, seed=3)
    assert again.get_config() == layer.get_config()
    assert {**layer.get_config(), "name": ""} == {**theirs.get_config(), "name": ""}
    both = keras.layers.Bidirectional(getattr(uk.layers, name)(4))
    assert type(both.forward_layer) is type(both.backward_layer) is getattr(uk.layers, name)
    stored = keras.saving.serialize_keras_object(layer)
    assert stored["registered_name"] == f"unikeras>{name}"
    assert type(keras.saving.deserialize_keras_object(stored)) is type(layer)


@pytest.mark.parametrize("name", CLASSES)
def test_a_stateful_layer_learns_in_keras_fit(name):
    results = []
    for library in (keras, uk):
        keras.utils.set_random_seed(2)
        # Keras' fused loop fails here on PyTorch (3.15): it keeps the memory that is about to be written to.
        layer = getattr(library.layers, name)(UNITS, stateful=True, use_cudnn=library is uk and "auto")
        model = keras.Sequential([keras.Input((TIME, FEATURES), batch_size=4), layer, keras.layers.Dense(2)])
        results.append([*_fitted_stateful(model), [ops.copy(state.value) for state in layer.states]])
    _close(results[1], results[0], 1e-4)


def _fitted_stateful(model):
    model.compile(keras.optimizers.SGD(0.5), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(SAMPLES, LABELS, batch_size=4, shuffle=False, verbose=0)
    return model.get_weights()
