"""The contract of uk.Model: what a step written once carries through fit, evaluate and predict."""

from __future__ import annotations

import copy
import pickle
import warnings

import keras
import numpy as np
import pytest
from helpers.arrays import numpy
from keras import layers, ops

import unikeras as uk
from unikeras.errors import ArgumentError, StepError

pytestmark = pytest.mark.usefixtures("backend")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(32, 4)).astype("float32")
Y = (X[:, :1] - X[:, 1:2]).astype("float32")


def weights_of(model):
    return [numpy(weight.value) for weight in model.weights]


def start(model):
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(size=w.shape) * 0.3 for w in model.weights])
    return model


def dense(optimizer="sgd", loss="mse", **options):
    inputs = keras.Input((4,))
    model = start(uk.Model(inputs, layers.Dense(1)(layers.Dense(8, "tanh")(inputs))))
    model.compile(optimizer, loss, **options)
    return model


def assert_equal(ours, theirs, tolerance=1e-6):
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


class Recorder(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.begun, self.ended, self.logs = [], [], []

    def on_train_batch_begin(self, batch, logs=None):
        self.begun.append(batch)

    def on_train_batch_end(self, batch, logs=None):
        self.ended.append(batch)
        self.logs.append(dict(logs))


def fit(model, x=X, y=Y, **options):
    options = {"batch_size": 8, "shuffle": False, "verbose": 0, **options}
    return model.fit(x, y, **options)


# -- equality with Keras ---------------------------------------------------------------------------------------


def test_without_overrides_it_is_a_keras_model():
    ours = dense("adam", metrics=["mae"])
    theirs = keras.Model(ours.inputs[0], ours.outputs[0])
    theirs = keras.models.clone_model(theirs)
    theirs.set_weights(weights_of(ours))
    theirs.compile("adam", "mse", metrics=["mae"])
    weights = np.abs(X[:, 0])
    options = {"epochs": 3, "validation_data": (X[:8], Y[:8]), "sample_weight": weights}
    history, expected = fit(ours, **options).history, fit(theirs, **options).history
    assert history.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(history[name], values, rtol=1e-5, err_msg=name)
    assert_equal(weights_of(ours), weights_of(theirs), 1e-5)
    assert_equal(ours.evaluate(X, Y, verbose=0), theirs.evaluate(X, Y, verbose=0), 1e-5)
    np.testing.assert_allclose(ours.predict(X, verbose=0), theirs.predict(X, verbose=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours.predict_on_batch(X), theirs.predict_on_batch(X), rtol=1e-5, atol=1e-6)
    assert_equal(ours.train_on_batch(X, Y), theirs.train_on_batch(X, Y), 1e-5)
    assert_equal(ours.test_on_batch(X, Y), theirs.test_on_batch(X, Y), 1e-5)


def test_class_weights():
    labels = (Y[:, 0] > 0).astype("int32")
    ours = dense("sgd", keras.losses.BinaryCrossentropy(from_logits=True))
    fit(ours, y=labels[:, None], class_weight={0: 1.0, 1: 3.0})
    weighted = dense("sgd", keras.losses.BinaryCrossentropy(from_logits=True))
    fit(weighted, y=labels[:, None], sample_weight=np.where(labels, 3.0, 1.0))
    assert_equal(weights_of(ours), weights_of(weighted))


def test_a_short_last_batch_weighs_as_many_rows_as_it_has():
    model = dense()
    fit(model, X[:20], Y[:20])
    model = dense(keras.optimizers.SGD(0.0))
    history = fit(model, X[:20], Y[:20]).history
    np.testing.assert_allclose(history["loss"][0], np.mean((numpy(model(X[:20])) - Y[:20]) ** 2), rtol=1e-5)


# -- optimizers ------------------------------------------------------------------------------------------------


def test_micro_batches_are_one_batch():
    # At 0.1 a step moves by far more than the tolerance.
    whole = dense(keras.optimizers.SGD(0.1))
    fit(whole, batch_size=32)
    parts = dense(keras.optimizers.SGD(0.1, gradient_accumulation_steps=4))
    fit(parts, batch_size=8)
    assert_equal(weights_of(parts), weights_of(whole))
    assert np.max(np.abs(weights_of(whole)[0] - weights_of(dense())[0])) > 1e-3


@pytest.mark.parametrize("clip", [{"global_clipnorm": 0.01}, {"clipvalue": 0.001}, {"clipnorm": 0.01}])
def test_gradients_are_clipped(clip):
    clipped, free = dense(keras.optimizers.SGD(1.0, **clip)), dense(keras.optimizers.SGD(1.0))
    before = weights_of(clipped)
    fit(clipped, batch_size=32)
    fit(free, batch_size=32)
    moved = [np.abs(a - b) for a, b in zip(weights_of(clipped), before, strict=True)]
    gradients = [b - a for a, b in zip(weights_of(free), before, strict=True)]
    if "global_clipnorm" in clip:
        np.testing.assert_allclose(np.sqrt(sum(np.sum(m**2) for m in moved)), 0.01, rtol=1e-4)
    elif "clipvalue" in clip:
        assert max(np.max(m) for m in moved) <= 0.001 + 1e-7
    else:
        expected = [min(1.0, 0.01 / np.linalg.norm(g)) * np.linalg.norm(g) for g in gradients]
        np.testing.assert_allclose([np.linalg.norm(m) for m in moved], expected, rtol=1e-4)


def test_adamw_leaves_an_unused_variable_as_it_is():
    inputs = keras.Input((4,))
    used, unused = layers.Dense(1, name="used"), layers.Dense(1, name="unused")
    model = start(uk.Model(inputs, [used(inputs), unused(inputs)]))
    model.compile(keras.optimizers.AdamW(0.1, weight_decay=0.1), loss=["mse", None])
    before = numpy(unused.kernel.value), numpy(used.kernel.value)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(model)
    assert any("Gradients do not exist for variables ['unused" in str(w.message) for w in caught)
    np.testing.assert_array_equal(numpy(unused.kernel.value), before[0])
    assert not np.array_equal(numpy(used.kernel.value), before[1])


def test_an_overflow_in_float16_skips_the_step_and_halves_the_scale():
    inputs = keras.Input((4,))
    policy = keras.DTypePolicy("mixed_float16")
    model = start(uk.Model(inputs, layers.Dense(1, dtype=policy)(inputs)))
    inner = keras.optimizers.SGD(0.01)
    optimizer = keras.optimizers.LossScaleOptimizer(inner, initial_scale=2.0**30, dynamic_growth_steps=2)
    model.compile(optimizer, "mse")
    before = weights_of(model)
    model.train_on_batch(X, Y)
    assert float(numpy(optimizer.dynamic_scale)) == 2.0**29
    assert int(numpy(inner.iterations)) == 0
    for old, new in zip(before, weights_of(model), strict=True):
        np.testing.assert_array_equal(new, old)
    optimizer.dynamic_scale.assign(2.0**5)
    losses = [model.train_on_batch(X, Y) for _ in range(2)]
    assert float(numpy(optimizer.dynamic_scale)) == 2.0**6  # two good steps double it
    assert int(numpy(inner.iterations)) == 2
    np.testing.assert_allclose(
        losses[0], np.mean((X @ before[0] + before[1] - Y) ** 2), rtol=1e-2
    )  # unscaled


def test_a_moving_average_of_the_weights():
    model = dense(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5))
    seen = [weights_of(model)]
    copying = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(weights_of(model))
    )
    fit(model, callbacks=[copying])
    average = seen[1]  # Keras starts the average with what the first step gave
    for values in seen[2:]:
        average = [0.5 * a + 0.5 * v for a, v in zip(average, values, strict=True)]
    assert_equal(weights_of(model), average, 1e-5)


def test_constraints_hold():
    inputs = keras.Input((4,))
    model = uk.Model(inputs, layers.Dense(1, kernel_constraint="non_neg")(inputs))
    model.compile(keras.optimizers.SGD(0.5), "mse")
    fit(model)
    assert np.min(weights_of(model)[0]) == 0.0


# -- the loop --------------------------------------------------------------------------------------------------


def test_steps_per_execution_changes_only_when_callbacks_are_called():
    one, three = dense("adam"), dense("adam", steps_per_execution=3)
    recorders = Recorder(), Recorder()
    histories = [
        fit(m, epochs=2, callbacks=[r]).history for m, r in zip((one, three), recorders, strict=True)
    ]
    np.testing.assert_allclose(histories[0]["loss"], histories[1]["loss"], rtol=1e-6)
    assert_equal(weights_of(one), weights_of(three))
    assert recorders[0].begun == [0, 1, 2, 3] * 2
    assert recorders[1].begun == [0, 3] * 2
    assert recorders[1].ended == [2, 5] * 2
    np.testing.assert_allclose(
        one.predict(X, 8, verbose=0), three.predict(X, 8, verbose=0), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(
        one.evaluate(X, Y, 8, verbose=0), three.evaluate(X, Y, 8, verbose=0), rtol=1e-5
    )


@pytest.mark.parametrize("options", [{"run_eagerly": True}, {"jit_compile": False}])
def test_other_ways_to_run_give_the_same(options):
    compiled, other = dense("adam"), dense("adam", **options)
    np.testing.assert_allclose(fit(compiled).history["loss"], fit(other).history["loss"], rtol=1e-5)
    assert_equal(weights_of(compiled), weights_of(other), 1e-5)


def test_a_step_is_compiled(backend):
    runs = []

    class Counting(uk.Model):
        def train_step(self, data):
            runs.append(1)
            return super().train_step(data)

    inputs = keras.Input((4,))
    model = Counting(inputs, layers.Dense(1)(inputs))
    model.compile("sgd", "mse")
    fit(model, epochs=3)
    fit(model)
    assert len(runs) <= 3


def test_callbacks_read_and_write_weights_in_mid_epoch():
    class Halving(keras.callbacks.Callback):
        sums = ()

        def on_train_batch_end(self, batch, logs=None):
            self.model.layers[-1].kernel.assign(self.model.layers[-1].kernel * 0.5)
            self.sums = (*self.sums, float(np.sum(numpy(self.model.layers[-1].kernel.value))))

    model, halving = dense(keras.optimizers.SGD(0.0)), Halving()
    before = float(np.sum(weights_of(model)[2]))
    fit(model, callbacks=[halving])
    np.testing.assert_allclose(halving.sums, [before / 2, before / 4, before / 8, before / 16], rtol=1e-5)
    np.testing.assert_allclose(np.sum(weights_of(model)[2]), before / 16, rtol=1e-5)


def test_early_stopping_and_a_falling_learning_rate():
    model = dense(keras.optimizers.SGD(0.5))
    best = keras.callbacks.EarlyStopping("loss", patience=2, min_delta=10.0, restore_best_weights=True)
    falling = keras.callbacks.ReduceLROnPlateau("loss", factor=0.1, patience=1, min_delta=10.0)
    first = []
    keeping = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: first.append(weights_of(model)) if epoch == 0 else None
    )
    history = fit(model, epochs=10, callbacks=[keeping, falling, best])
    assert len(history.history["loss"]) == 3
    assert_equal(weights_of(model), first[0])
    np.testing.assert_allclose(float(numpy(model.optimizer.learning_rate)), 0.005, rtol=1e-5)


def test_layers_frozen_after_compile_stay_as_they_are():
    model = dense(keras.optimizers.SGD(0.1))
    fit(model)
    model.layers[1].trainable = False
    before = weights_of(model)
    fit(model)
    np.testing.assert_array_equal(weights_of(model)[0], before[0])
    assert not np.array_equal(weights_of(model)[2], before[2])


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 4

    def __getitem__(self, i):
        return X[i * 8 : (i + 1) * 8], Y[i * 8 : (i + 1) * 8]


def test_data_sources():
    expected = fit(dense()).history["loss"]

    def generator():
        while True:
            yield from (Batches()[i] for i in range(4))

    for source in (Batches(), generator()):
        model = dense()
        history = model.fit(source, steps_per_epoch=4, shuffle=False, verbose=0)
        np.testing.assert_allclose(history.history["loss"], expected, rtol=1e-5)
    assert dense().predict(Batches(), verbose=0).shape == (32, 1)


def test_frameworks_own_data_sets():
    expected = fit(dense()).history["loss"]
    found = 0
    for source in _native_sources():
        model = dense()
        np.testing.assert_allclose(
            model.fit(source, shuffle=False, verbose=0).history["loss"], expected, rtol=1e-5
        )
        np.testing.assert_allclose(
            model.evaluate(source, verbose=0), model.evaluate(X, Y, 8, verbose=0), rtol=1e-5
        )
        found += 1
    if not found:
        pytest.skip("neither tf.data nor torch's DataLoader is installed here")


def _native_sources():
    try:
        import tensorflow as tf

        yield tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)
    except ImportError:
        pass
    try:
        import torch

        dataset = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
        yield torch.utils.data.DataLoader(dataset, batch_size=8)
    except ImportError:
        pass


# -- state -----------------------------------------------------------------------------------------------------


def test_memory_of_a_stateful_layer_goes_on_in_predict_and_fit():
    inputs = keras.Input(batch_shape=(2, 3, 4))
    lstm = layers.LSTM(5, stateful=True)
    model = start(uk.Model(inputs, layers.Dense(1)(lstm(inputs))))
    model.compile(keras.optimizers.SGD(0.0), "mse")
    x = RNG.normal(size=(2, 6, 4)).astype("float32")
    halves = [model.predict(x[:, i : i + 3], batch_size=2, verbose=0) for i in (0, 3)]
    whole_layer = layers.LSTM(5)
    whole = keras.Sequential([keras.Input((6, 4)), whole_layer, layers.Dense(1)])
    whole.set_weights(weights_of(model))
    np.testing.assert_allclose(halves[1], whole.predict(x, verbose=0), rtol=1e-5, atol=1e-6)
    lstm.reset_state()
    np.testing.assert_allclose(
        model.predict(x[:, :3], batch_size=2, verbose=0), halves[0], rtol=1e-5, atol=1e-6
    )
    lstm.reset_state()
    fit(model, np.concatenate([x[:, :3], x[:, 3:]]), np.zeros((4, 1), "float32"), batch_size=2)
    remembered = numpy(lstm.states[0].value)
    lstm.reset_state()
    model.predict(np.concatenate([x[:, :3], x[:, 3:]]), batch_size=2, verbose=0)
    np.testing.assert_allclose(remembered, numpy(lstm.states[0].value), rtol=1e-5, atol=1e-6)


def test_random_layers_draw_anew_in_each_step():
    drops = []

    class Watching(uk.Model):
        def train_step(self, data):
            y = self(keras.utils.unpack_x_y_sample_weight(data)[0], training=True)
            return {"kept": ops.sum(y)}

    inputs = keras.Input((4,))
    model = Watching(inputs, layers.Dropout(0.5, seed=3)(inputs))
    model.compile()
    seen = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: drops.append(logs["kept"]))
    fit(model, np.ones((64, 4), "float32"), None, callbacks=[seen])
    assert len(set(drops)) > 3


def test_batchnorm_moves_once_per_forward_pass():
    inputs = keras.Input((4,))
    norm = layers.BatchNormalization(momentum=0.5)
    model = uk.Model(inputs, layers.Dense(1)(norm(inputs)))
    model.compile("sgd", "mse")
    model.train_on_batch(X, Y)
    np.testing.assert_allclose(numpy(norm.moving_mean.value), X.mean(0) / 2, rtol=1e-4, atol=1e-6)


def test_metrics_made_in_the_step_and_its_layers():
    class Own(uk.Model):
        def train_step(self, data):
            logs = super().train_step(data)
            if not hasattr(self, "seen"):
                self.seen = keras.metrics.Sum("seen")
            self.seen.update_state(ops.ones(()))
            return {**logs, "seen": self.seen.result()}

    inputs = keras.Input((4,))
    model = Own(inputs, layers.Dense(1)(inputs))
    model.compile("sgd", "mse")
    assert fit(model, epochs=2).history["seen"] == [4.0, 4.0]


def test_a_value_taken_before_a_step_lives_on_as_numbers():
    model = dense()
    kernel = model.layers[1].kernel
    before = numpy(kernel.value)
    copied = kernel.numpy()
    fit(model)
    np.testing.assert_array_equal(copied, before)


def test_two_variables_with_one_array_train():
    inputs = keras.Input((4,))
    one, two = layers.Dense(4, use_bias=False), layers.Dense(4, use_bias=False)
    model = start(uk.Model(inputs, two(one(inputs))))
    two.kernel.assign(one.kernel)
    model.compile(keras.optimizers.SGD(0.1), "mse")
    fit(model, y=np.zeros((32, 4), "float32"))
    assert not np.allclose(numpy(one.kernel.value), numpy(two.kernel.value))


# -- construction ----------------------------------------------------------------------------------------------


def test_functional_models_leave_later_subclasses_alone():
    inputs = keras.Input((4,))
    outputs = layers.Dense(1)(inputs)

    class Stepped(uk.Model):
        def train_step(self, data):
            return {**super().train_step(data), "two": ops.convert_to_tensor(2.0)}

    assert isinstance(uk.Model(inputs, outputs), uk.Model)
    model = Stepped(inputs, outputs)
    assert isinstance(model, Stepped)

    class Later(uk.Model):
        def __init__(self, first, second):
            super().__init__()
            self.first, self.second = first, second

        def call(self, x):
            return self.second(self.first(x))

    class Inside(uk.Model):
        def __init__(self, units):
            x = keras.Input((4,))
            super().__init__(x, layers.Dense(units)(x))

    for made in (model, Later(layers.Dense(2), layers.Dense(1)), Stepped(inputs, outputs), Inside(1)):
        made.compile("sgd", "mse")
        history = fit(made).history
        assert ("two" in history) is isinstance(made, Stepped)


def test_a_saved_functional_model_is_a_plain_one(tmp_path):
    model = dense("adam")
    fit(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert not isinstance(loaded, uk.Model)
    np.testing.assert_allclose(
        loaded.predict(X, verbose=0), model.predict(X, verbose=0), rtol=1e-5, atol=1e-6
    )
    again = uk.Model.from_keras(loaded)
    assert again.weights[0] is loaded.weights[0]
    fit(again)
    assert_equal(weights_of(again), weights_of(loaded))


class Own(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(1)

    def call(self, x):
        return self.dense(x)


@pytest.mark.parametrize("make", [lambda: keras.Sequential([keras.Input((4,)), layers.Dense(1)]), Own])
def test_any_keras_model_can_be_one(make):
    class Doubled(uk.Model):
        def train_step(self, data):
            return {"doubled": super().train_step(data)["loss"] * 2.0}

    theirs = make()
    theirs(X)
    model = Doubled.from_keras(theirs)
    assert isinstance(model, Doubled)
    assert isinstance(model, type(theirs))
    assert type(theirs) is not type(model)
    model.compile("sgd", "mse")
    assert list(fit(model).history) == ["doubled"]
    assert_equal(weights_of(model), weights_of(theirs))
    with pytest.raises(ArgumentError, match="received int"):
        uk.Model.from_keras(3)


def test_an_unbuilt_model_without_call_is_built_by_its_step():
    class Pair(uk.Model):
        def __init__(self):
            super().__init__()
            self.one, self.two = layers.Dense(3), layers.Dense(1)

        def train_step(self, data):
            x, y = data
            with uk.GradientTape() as tape:
                loss = ops.mean((self.two(self.one(x)) - y) ** 2)
            variables = self.one.trainable_variables + self.two.trainable_variables
            self.optimizer.apply(tape.gradient(loss, variables), variables)
            return {"mse": loss}

    model = Pair()
    model.compile(keras.optimizers.SGD(0.1))
    losses = fit(model, epochs=3).history["mse"]
    assert losses[2] < losses[0]


# -- bad input -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("logs", "message"),
    [
        (3.0, r"Bad.train_step returned a float; it has to return a dictionary"),
        (None, r"returned a NoneType"),
        ({"a": {"b": np.zeros(3)}, "c": 1.0}, r"no scalars: 'b' \(\(3,\)\)"),
        ({"text": "x"}, r"'text' \(str\)"),
    ],
)
def test_a_step_returns_scalars_by_name(logs, message):
    class Bad(uk.Model):
        def train_step(self, data):
            return logs

    inputs = keras.Input((4,))
    model = Bad(inputs, layers.Dense(1)(inputs))
    model.compile()
    with pytest.raises(StepError, match=message):
        fit(model)


def test_a_stateless_step_is_refused_by_name():
    class Stateless(uk.Model):
        def train_step(self, state, data):
            return {}, state

    inputs = keras.Input((4,))
    model = Stateless(inputs, layers.Dense(1)(inputs))
    model.compile("sgd", "mse")
    with pytest.raises(StepError, match=r"Stateless.train_step takes \(state, data\)"):
        fit(model)


def test_nested_logs_move_up():
    class Nested(uk.Model):
        def train_step(self, data):
            return {"a": {"b": ops.mean(data[0]), "c": {"d": 2.0}}}

    inputs = keras.Input((4,))
    model = Nested(inputs, layers.Dense(1)(inputs))
    model.compile(optimizer=None)
    history = fit(model).history
    np.testing.assert_allclose(history["b"], [X[24:].mean()], rtol=1e-4)
    assert history["d"] == [2.0]


def test_sample_and_class_weights_exclude_each_other():
    with pytest.raises(ValueError, match="class_weight"):
        dense().train_on_batch(X, Y, sample_weight=np.ones(32), class_weight={0: 1.0})


def test_an_exception_in_a_step_leaves_the_model_usable():
    class Failing(uk.Model):
        fail = True

        def train_step(self, data):
            logs = super().train_step(data)
            if self.fail:
                raise OSError("the disk is full")
            return logs

    inputs = keras.Input((4,))
    model = start(Failing(inputs, layers.Dense(1)(inputs)))
    model.compile("adam", "mse")
    before = weights_of(model)
    with pytest.raises(OSError, match="disk is full"):
        fit(model)
    assert_equal(weights_of(model), before, 0)
    model.fail = False
    assert np.isfinite(fit(model).history["loss"][0])


class Sorted(keras.utils.PyDataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return X[index * 8 : index * 8 + 8], Y[index * 8 : index * 8 + 8]


def test_workers_bring_every_batch_in_order():
    def losses(*data, **options):
        return dense("adam").fit(*data, epochs=2, shuffle=False, verbose=0, **options).history["loss"]

    np.testing.assert_allclose(losses(Sorted(workers=2)), losses(X, Y, batch_size=8), rtol=1e-5)


def test_the_losses_of_several_outputs_weigh_rows():
    inputs = keras.Input((4,))
    outputs = {"p": layers.Dense(1, name="p")(inputs), "q": layers.Dense(1, name="q")(inputs)}
    model = start(uk.Model(inputs, outputs))
    model.compile(keras.optimizers.SGD(0.0), {"p": "mse", "q": "mae"})
    y = {"p": Y, "q": Y}
    whole = model.evaluate(X, y, batch_size=32, verbose=0, return_dict=True)
    for _ in range(2):
        history = model.fit(X, y, batch_size=12, verbose=0).history
        assert {name: values[0] for name, values in history.items()} == pytest.approx(whole, rel=1e-5)


class Sensitive(uk.Model):
    def test_step(self, data):
        x = ops.convert_to_tensor(data[0])
        with uk.GradientTape() as tape:
            tape.watch(x)
            total = ops.sum(self(x, training=False))
        return {"slope": ops.mean(tape.gradient(total, x))}


@pytest.mark.parametrize("options", [{}, {"run_eagerly": True}])
def test_gradients_while_evaluating(options):
    inputs = keras.Input((4,))
    model = Sensitive(inputs, layers.Dense(1, use_bias=False)(inputs))
    model.compile(**options)
    slope = model.evaluate(X, Y, verbose=0, return_dict=True)["slope"]
    assert slope == pytest.approx(float(weights_of(model)[0].mean()), rel=1e-4)


@keras.saving.register_keras_serializable("unikeras_tests")
class Registered(uk.Model):
    def train_step(self, data):
        return {**super().train_step(data), "own": 1.0}


@pytest.mark.parametrize("kind", ["functional", "from functional", "from sequential"])
def test_a_registered_class_comes_back_from_its_file(kind, tmp_path):
    inputs = keras.Input((4,))
    if kind == "functional":
        model = Registered(inputs, layers.Dense(1)(inputs))
    elif kind == "from functional":
        model = Registered.from_keras(keras.Model(inputs, layers.Dense(1)(inputs)))
    else:
        model = Registered.from_keras(keras.Sequential([inputs, layers.Dense(1)]))
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.predict(X, verbose=0), model.predict(X, verbose=0), rtol=1e-5)
    assert isinstance(loaded, Registered)
    assert loaded.fit(X, Y, verbose=0).history["own"] == [1.0]


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_are_of_the_same_kind(again):
    model = dense("adam")
    model.fit(X, Y, verbose=0)
    other = again(model)
    assert isinstance(other, uk.Model)
    np.testing.assert_allclose(other.predict(X, verbose=0), model.predict(X, verbose=0), rtol=1e-5)
    other.fit(X, Y, verbose=0)
