"""Programs for a tape, TensorFlow's or ours: each returns numbers, Nones and kinds of errors.

Each is a function of an `api`, the module `unikeras` or TensorFlow's own names for the same things (`judge`).
The examples of TensorFlow's guides "Introduction to gradients and automatic differentiation" and "Advanced
automatic differentiation" are all here but three: strings, which Keras has no tensors of; `tf.image`'s
operation without a gradient, which is TensorFlow's alone; and custom gradients in a SavedModel.
"""

from __future__ import annotations

import traceback
import types
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers, ops

PROGRAMS: dict[str, Callable[[Any], Any]] = {}


def program(f):
    """Enter a function in the table."""
    PROGRAMS[f.__name__] = f
    return f


def judge():
    """Return TensorFlow's own tape and rules, under the names that unikeras gives to its own."""
    import tensorflow as tf

    def native(leaf):
        return leaf.value if isinstance(leaf, keras.Variable) else leaf

    class Tape(tf.GradientTape):
        """The tape as it is, handed the tf.Variable in a Keras variable, and "zero" as the enumeration's member."""

        def watch(self, tensor):
            super().watch(keras.tree.map_structure(native, tensor))

        def gradient(self, target, sources, output_gradients=None, unconnected_gradients="none"):
            unconnected = tf.UnconnectedGradients(unconnected_gradients)
            sources = keras.tree.map_structure(native, sources)
            return super().gradient(target, sources, output_gradients, unconnected)

    return types.SimpleNamespace(
        GradientTape=Tape,
        custom_gradient=tf.custom_gradient,
        stop_gradient=tf.stop_gradient,
        remat=tf.recompute_grad,
        function=tf.function,
    )


def run(judged_by_tensorflow):
    """Return each program's answer, as numpy, and what it raised, under the backend of this process."""
    import unikeras

    api = judge() if judged_by_tensorflow else unikeras
    return {name: _answer(f, api) for name, f in PROGRAMS.items()}


def _answer(f, api):
    try:
        return _plain(f(api)), None
    except Exception:
        return None, traceback.format_exc()


def _plain(value):
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_plain(inner) for inner in value)
    # A lookup's gradient is tf.IndexedSlices on TensorFlow's tape and dense on ours; this makes both dense.
    return value if value is None or isinstance(value, str) else ops.convert_to_numpy(value)


def error(f, *args, **kwargs):
    """Return the kind of error that a call ends in."""
    try:
        f(*args, **kwargs)
    except (TypeError, ValueError, RuntimeError) as caught:
        kinds = (TypeError, ValueError, RuntimeError)
        return next(kind.__name__ for kind in kinds if isinstance(caught, kind))
    return "no error"


def constant(values):
    """Return a float32 tensor."""
    return ops.convert_to_tensor(values, dtype="float32")


def numbers(*shape, seed=0):
    """Return the same normal numbers everywhere."""
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def dense(inputs, units, activation=None, seed=1):
    """Return a built layer with the same weights everywhere."""
    layer = layers.Dense(units, activation)
    layer.build((None, inputs))
    layer.set_weights([numbers(inputs, units, seed=seed), numbers(units, seed=seed + 1)])
    return layer


# Introduction: computing gradients


@program
def square_of_a_variable(api):
    x = keras.Variable(3.0)
    with api.GradientTape() as tape:
        y = x**2
    return tape.gradient(y, x)


@program
def linear_map_by_list(api):
    w, b = keras.Variable(numbers(3, 2)), keras.Variable(np.zeros(2, "float32"))
    x = constant([[1.0, 2.0, 3.0]])
    with api.GradientTape(persistent=True) as tape:
        loss = ops.mean((x @ w + b) ** 2)
    return tape.gradient(loss, [w, b])


@program
def linear_map_by_dict(api):
    w, b = keras.Variable(numbers(3, 2)), keras.Variable(np.zeros(2, "float32"))
    x = constant([[1.0, 2.0, 3.0]])
    with api.GradientTape() as tape:
        loss = ops.mean((x @ w + b) ** 2)
    return tape.gradient(loss, {"w": w, "b": b})


@program
def sources_in_nested_structures(api):
    a, b = keras.Variable(2.0), keras.Variable(3.0)
    with api.GradientTape() as tape:
        y = a * a * b
    return tape.gradient(y, {"first": (a, [b]), "again": a})


@program
def variables_of_a_layer(api):
    layer, x = dense(3, 2, "relu"), constant([[1.0, 2.0, 3.0]])
    with api.GradientTape() as tape:
        loss = ops.mean(layer(x) ** 2)
    return tape.gradient(loss, layer.trainable_variables)


@program
def variables_of_a_functional_model(api):
    inputs = keras.Input((4,))
    hidden = dense(4, 3, "tanh")(inputs)
    model = keras.Model(inputs, layers.concatenate([hidden, dense(4, 2, seed=3)(inputs)]))
    with api.GradientTape() as tape:
        loss = ops.mean(model(constant(numbers(5, 4, seed=5))) ** 2)
    return tape.gradient(loss, model.trainable_variables)


# Introduction: controlling what is watched


@program
def only_trainable_variables_are_watched(api):
    trained, frozen = keras.Variable(3.0), keras.Variable(3.0, trainable=False)
    computed, fixed = keras.Variable(2.0) + 1.0, constant(3.0)
    with api.GradientTape() as tape:
        y = trained**2 + frozen**2 + computed**2 + fixed**2
    watched = [ops.convert_to_tensor(v) for v in tape.watched_variables()]
    return tape.gradient(y, [trained, frozen, computed, fixed]), watched


@program
def a_watched_constant(api):
    x = constant(3.0)
    with api.GradientTape() as tape:
        tape.watch(x)
        y = x**2
    return tape.gradient(y, x)


@program
def watching_by_hand_only(api):
    x0, x1 = keras.Variable(0.0), keras.Variable(10.0)
    with api.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(x1)
        y = ops.sum(ops.sin(x0) + ops.softplus(x1))
    return tape.gradient(y, {"x0": x0, "x1": x1}), len(tape.watched_variables())


@program
def watching_a_structure(api):
    x = [constant(2.0), {"y": constant(3.0)}]
    with api.GradientTape() as tape:
        tape.watch(x)
        y = x[0] * x[1]["y"] ** 2
    return tape.gradient(y, x)


@program
def watching_a_variable_that_is_not_trainable(api):
    v = keras.Variable([1.0, 2.0], trainable=False)
    with api.GradientTape() as tape:
        tape.watch(v)
        y = v * v
    return tape.gradient(y, v)


@program
def watching_comes_too_late(api):
    x = constant(3.0)
    with api.GradientTape() as tape:
        y = x * x
        tape.watch(x)
        z = y + x
    return tape.gradient(z, x)


@program
def a_variable_read_while_the_tape_watches_none(api):
    v = keras.Variable(3.0)
    with api.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        y = v * v
        tape.watch(v)
        z = y * v
    return tape.gradient(y, v), tape.gradient(z, v)


@program
def variables_of_a_frozen_model(api):
    model = keras.Sequential([keras.Input((3,)), dense(3, 2, "tanh"), dense(2, 1, seed=3)])
    model.layers[0].trainable = False
    with api.GradientTape() as tape:
        loss = ops.sum(model(constant(numbers(4, 3, seed=5))))
    return tape.gradient(loss, model.trainable_variables)


@program
def a_variable_made_without_training(api):
    scale, shift = keras.Variable([2.0], trainable=False), keras.Variable([1.0])
    with api.GradientTape() as tape:
        y = scale * 3.0 + shift
    return tape.gradient(y, [scale, shift]), len(tape.watched_variables())


# Introduction: intermediate results, persistence, targets


@program
def an_intermediate_result(api):
    x = constant(3.0)
    with api.GradientTape() as tape:
        tape.watch(x)
        y = x * x
        z = y * y
    return tape.gradient(z, y)


@program
def an_intermediate_result_and_the_input(api):
    x = constant([1.0, 2.0])
    with api.GradientTape() as tape:
        tape.watch(x)
        y = ops.exp(x)
        z = y * x + y
    return tape.gradient(z, [x, y])


@program
def a_persistent_tape(api):
    x = constant([1.0, 3.0])
    with api.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x * x
        z = y * y
    return tape.gradient(z, x), tape.gradient(y, x)


@program
def two_targets_apart(api):
    x = keras.Variable(2.0)
    with api.GradientTape(persistent=True) as tape:
        y0, y1 = x**2, 1 / x
    return tape.gradient(y0, x), tape.gradient(y1, x)


@program
def two_targets_together(api):
    x = keras.Variable(2.0)
    with api.GradientTape() as tape:
        y0, y1 = x**2, 1 / x
    return tape.gradient({"y0": y0, "y1": y1}, x)


@program
def one_target_named_twice(api):
    x = keras.Variable(2.0)
    with api.GradientTape() as tape:
        y = x**2
    return tape.gradient([y, y], x)


@program
def a_target_and_what_it_is_made_of(api):
    x = keras.Variable(2.0)
    with api.GradientTape() as tape:
        y = x**2
        z = y * 3.0
    return tape.gradient([y, z], x)


@program
def a_target_that_is_no_scalar(api):
    x = keras.Variable(2.0)
    with api.GradientTape() as tape:
        y = x * constant([3.0, 4.0])
    return tape.gradient(y, x)


@program
def elementwise_over_a_line(api):
    x = constant(np.linspace(-10.0, 10.0, 201))
    with api.GradientTape() as tape:
        tape.watch(x)
        y = ops.sigmoid(x)
    return tape.gradient(y, x)


@program
def a_target_that_is_the_source(api):
    x = constant([3.0, 4.0])
    with api.GradientTape() as tape:
        tape.watch(x)
    return tape.gradient(x, x)


@program
def a_target_that_is_a_variable(api):
    v = keras.Variable([3.0, 4.0])
    with api.GradientTape(persistent=True) as tape:
        y = v * 2.0
    return tape.gradient(v, v), tape.gradient([v, y], v)


@program
def output_gradients(api):
    x = constant([1.0, 2.0])
    with api.GradientTape() as tape:
        tape.watch(x)
        y, z = x**2, ops.exp(x)
    return tape.gradient([y, z], x, output_gradients=[constant([1.0, 10.0]), constant([0.5, 0.0])])


@program
def no_sources(api):
    x = keras.Variable(2.0)
    with api.GradientTape() as tape:
        y = x**2
    return tape.gradient(y, [])


# Introduction: control flow


@program
def a_branch_of_python(api):
    x, v0, v1 = constant(1.0), keras.Variable(2.0), keras.Variable(2.0)
    with api.GradientTape(persistent=True) as tape:
        tape.watch(x)
        result = v0 if x > 0.0 else v1**2
        result = result * 1.0
    return tape.gradient(result, [v0, v1]), tape.gradient(result, x)


@program
def a_loop_of_python(api):
    x, total = constant(1.5), constant(0.0)
    with api.GradientTape() as tape:
        tape.watch(x)
        while float(ops.convert_to_numpy(total)) < 10.0:
            total = total * x + x
    return tape.gradient(total, x), total


@program
def control_flow_of_keras(api):
    x = constant(1.5)
    with api.GradientTape(persistent=True) as tape:
        tape.watch(x)
        looped = ops.fori_loop(0, 3, lambda i, total: total * x, x)
        chosen = ops.cond(x > 1.0, lambda: looped * 2.0, lambda: looped)
        _, repeated = ops.while_loop(lambda i, y: i < 4, lambda i, y: (i + 1, ops.sin(y) * x), (0, x))
        scanned, _ = ops.scan(lambda c, v: (c * v + x, c), x, constant([1.0, 2.0, 3.0]))
    return [tape.gradient(y, x) for y in (looped, chosen, repeated, scanned)]


# Introduction: where the answer is None


@program
def an_unrelated_source(api):
    x, y = keras.Variable(2.0), keras.Variable(3.0)
    with api.GradientTape() as tape:
        z = y * y
    return tape.gradient(z, x)


@program
def a_variable_replaced_by_a_tensor(api):
    x, answers = keras.Variable(2.0), []
    for _ in range(2):
        with api.GradientTape() as tape:
            y = x + 1
        answers.append(tape.gradient(y, x))
        x = x + 1
    return answers


@program
def a_calculation_in_numpy(api):
    x = keras.Variable([[1.0, 2.0], [3.0, 4.0]])
    with api.GradientTape() as tape:
        y = np.mean(ops.convert_to_numpy(x**2), axis=0)
        y = ops.mean(constant(y), axis=0)
    return tape.gradient(y, x)


@program
def an_integer(api):
    x = ops.convert_to_tensor(10, dtype="int32")
    with api.GradientTape() as tape:
        tape.watch(x)
        y = x * x
    return tape.gradient(y, x)


@program
def through_an_integer(api):
    x = constant([1.5, 2.5])
    with api.GradientTape() as tape:
        tape.watch(x)
        y = ops.cast(ops.cast(x, "int32"), "float32") * 2.0
    return tape.gradient(y, x)


@program
def an_assigned_variable(api):
    x0, x1 = keras.Variable(3.0), keras.Variable(0.0)
    with api.GradientTape() as tape:
        x1.assign_add(x0)
        y = x1**2
    return tape.gradient(y, x0), y


@program
def an_assigned_variable_as_source(api):
    x0, x1 = keras.Variable(3.0), keras.Variable(0.0)
    with api.GradientTape() as tape:
        x1.assign(x0)
        y = x1**2 * x0
    return tape.gradient(y, [x0, x1])


@program
def a_constant_target(api):
    x = keras.Variable(2.0)
    with api.GradientTape() as tape:
        x * 1.0
        y = constant(5.0) * 2.0
    return tape.gradient(y, x)


@program
def a_target_computed_before_the_block(api):
    x = keras.Variable(2.0)
    y = x * x
    with api.GradientTape() as tape:
        x * 1.0
    return tape.gradient(y, x)


@program
def a_variable_used_before_and_inside_the_block(api):
    x = keras.Variable(2.0)
    before = x * x
    with api.GradientTape(persistent=True) as tape:
        y = before * x
    return tape.gradient(y, x), tape.gradient(y, before)


@program
def a_target_computed_after_the_block(api):
    x = keras.Variable(2.0)
    with api.GradientTape(persistent=True) as tape:
        y = x * x
    z = y * 3.0
    return tape.gradient(z, x), tape.gradient([y, z], x)


@program
def zeros_in_place_of_none(api):
    x, y = keras.Variable([2.0, 2.0]), keras.Variable(3.0)
    with api.GradientTape() as tape:
        z = y**2
    return tape.gradient(z, [x, y], unconnected_gradients="zero")


# Advanced: controlling the recording


@program
def recording_stopped(api):
    x, y = keras.Variable(2.0), keras.Variable(3.0)
    with api.GradientTape() as tape:
        x_squared = x * x
        with tape.stop_recording():
            y_squared = y * y
        z = x_squared + y_squared
    return tape.gradient(z, {"x": x, "y": y}), len(tape.watched_variables())


@program
def recording_stopped_in_the_middle_of_a_chain(api):
    x = constant(2.0)
    with api.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x * x
        with tape.stop_recording():
            z = y * 10.0
        w = z * x
    return tape.gradient(w, [x, y]), tape.gradient(z, x)


@program
def a_gradient_taken_while_recording_is_stopped(api):
    x = constant(3.0)
    with api.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x**3
        with tape.stop_recording():
            dy = tape.gradient(y, x)
        z = y * dy
    return dy, tape.gradient(z, x)


@program
def an_inner_tape_stops_alone(api):
    x = constant(3.0)
    with api.GradientTape() as outer:
        outer.watch(x)
        with api.GradientTape() as inner:
            inner.watch(x)
            y = x * x
            with inner.stop_recording():
                y = y + x * x * x
    return inner.gradient(y, x), outer.gradient(y, x)


@program
def recording_begun_again(api):
    x, y = keras.Variable(2.0), keras.Variable(3.0)
    with api.GradientTape() as tape:
        y_squared = y * y
        tape.reset()
        z = x * x + y_squared
    return tape.gradient(z, {"x": x, "y": y}), len(tape.watched_variables())


@program
def a_tape_entered_twice(api):
    x = constant(2.0)
    with api.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x * x
    between = y * 5.0
    with tape:
        z = y * x
        w = between * x
    return tape.gradient(z, x), tape.gradient(w, x)


@program
def a_stopped_gradient(api):
    x, y = keras.Variable(2.0), keras.Variable(3.0)
    with api.GradientTape() as tape:
        z = x**2 + ops.stop_gradient(y**2)
    return tape.gradient(z, {"x": x, "y": y})


@program
def a_stopped_gradient_of_the_factor_itself(api):
    x = constant([2.0, 3.0])
    with api.GradientTape() as tape:
        tape.watch(x)
        y = x * api.stop_gradient(x) + x
    return tape.gradient(y, x)


# Advanced: custom gradients, several tapes


@program
def a_clipped_gradient(api):
    @api.custom_gradient
    def clip(y):
        return y * 1.0, lambda upstream: upstream * 0.5 / ops.maximum(ops.norm(upstream), 0.5)

    v = keras.Variable([2.0, 3.0])
    with api.GradientTape() as tape:
        output = clip(v * v)
    return tape.gradient(output, v)


@program
def a_custom_gradient_that_passes_its_argument_on(api):
    @api.custom_gradient
    def reverse(x):
        return x, lambda upstream: -upstream

    x = constant([2.0, 3.0])
    with api.GradientTape() as tape:
        tape.watch(x)
        y = x * reverse(x)
    return tape.gradient(y, x)


@program
def a_custom_gradient_of_two_arguments(api):
    @api.custom_gradient
    def product(a, b):
        return a * b, lambda upstream: (upstream * 10.0, upstream * 20.0)

    a, b = constant(3.0), constant(4.0)
    with api.GradientTape() as tape:
        tape.watch([a, b])
        y = product(a, b) * 2.0
    return tape.gradient(y, [a, b])


@program
def a_function_computed_again(api):
    x = constant([0.5, 1.0])
    with api.GradientTape() as tape:
        tape.watch(x)
        y = api.remat(lambda x: ops.sin(x) * x)(x)
    return tape.gradient(y, x)


@program
def two_tapes_watch_two_tensors(api):
    x0, x1 = constant(0.0), constant(0.0)
    with api.GradientTape() as tape0, api.GradientTape() as tape1:
        tape0.watch(x0)
        tape1.watch(x1)
        y = ops.sum(ops.sin(x0) + ops.sigmoid(x1))
    return tape0.gradient(y, x0), tape1.gradient(y, x1)


@program
def two_tapes_ask_for_what_the_other_watches(api):
    x0, x1 = constant(2.0), constant(3.0)
    with api.GradientTape() as tape0, api.GradientTape() as tape1:
        tape0.watch(x0)
        tape1.watch(x1)
        y = x0 * x1
    return tape0.gradient(y, [x0, x1]), tape1.gradient(y, [x0, x1])


@program
def two_tapes_over_the_same_variables(api):
    layer, x = dense(3, 2), constant(numbers(4, 3))
    with api.GradientTape() as tape0, api.GradientTape() as tape1:
        y = layer(x)
        first, second = ops.sum(y**2), ops.sum(ops.sin(y))
    return tape0.gradient(first, layer.variables), tape1.gradient(second, layer.variables)


# Advanced: higher derivatives


@program
def a_second_derivative(api):
    x = keras.Variable(1.0)
    with api.GradientTape() as outer:
        with api.GradientTape() as inner:
            y = x * x * x
        dy = inner.gradient(y, x)
    return dy, outer.gradient(dy, x)


@program
def a_third_derivative(api):
    x = constant([0.5, 1.0])
    with api.GradientTape() as third:
        third.watch(x)
        with api.GradientTape() as second:
            second.watch(x)
            with api.GradientTape() as first:
                first.watch(x)
                y = ops.sin(x) * ops.exp(x)
            dy = first.gradient(y, x)
        d2y = second.gradient(dy, x)
    return dy, d2y, third.gradient(d2y, x)


@program
def a_gradient_taken_outside_the_outer_block(api):
    x = constant(2.0)
    with api.GradientTape() as outer:
        outer.watch(x)
        with api.GradientTape() as inner:
            inner.watch(x)
            y = x * x * x
    dy = inner.gradient(y, x)
    return dy, outer.gradient(dy, x)


@program
def a_persistent_tape_differentiates_itself(api):
    x = constant(2.0)
    with api.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = ops.sin(x) * x**3
        dy = tape.gradient(y, x)
    return dy, tape.gradient(dy, x)


@program
def a_mixed_derivative(api):
    a, b = keras.Variable([2.0, 1.0]), keras.Variable([3.0, 5.0])
    with api.GradientTape(persistent=True) as outer:
        with api.GradientTape() as inner:
            y = ops.sum(a**2 * b**3)
        da = inner.gradient(y, a)
    return outer.gradient(da, b), outer.gradient(da, a), outer.gradient(y, b)


@program
def input_gradient_regularization(api):
    x, layer = constant(numbers(7, 5)), dense(5, 10, "tanh")
    with api.GradientTape() as outer:
        with api.GradientTape(watch_accessed_variables=False) as inner:
            inner.watch(x)
            out = ops.sum(layer(x) ** 2)
        g = inner.gradient(out, x)
        magnitude = ops.norm(g)
    return magnitude, outer.gradient(magnitude, layer.trainable_variables)


@program
def a_linear_function_has_no_second_derivative(api):
    x = constant(2.0)
    with api.GradientTape() as outer:
        outer.watch(x)
        with api.GradientTape() as inner:
            inner.watch(x)
            y = 3.0 * x
        dy = inner.gradient(y, x)
    return dy, outer.gradient(dy, x)


# Advanced: jacobians


@program
def jacobian_by_a_scalar(api):
    x, delta = constant(np.linspace(-10.0, 10.0, 21)), keras.Variable(0.0)
    with api.GradientTape() as tape:
        y = ops.sigmoid(x + delta)
    return tape.jacobian(y, delta)


@program
def jacobian_by_a_kernel(api):
    x, layer = constant(numbers(3, 2)), dense(2, 4, "tanh")
    with api.GradientTape(persistent=True) as tape:
        y = layer(x)
    jacobian = tape.jacobian(y, layer.kernel)
    return jacobian, tape.gradient(y, layer.kernel), ops.sum(jacobian, axis=(0, 1))


@program
def hessian_of_a_kernel(api):
    x, first, second = constant(numbers(4, 2)), dense(2, 3, "tanh"), dense(3, 2, "tanh", seed=3)
    with api.GradientTape() as outer:
        with api.GradientTape() as inner:
            loss = ops.mean(second(first(x)) ** 2)
        g = inner.gradient(loss, first.kernel)
    return outer.jacobian(g, first.kernel)


@program
def a_newton_step(api):
    v = keras.Variable([1.0, -2.0])
    with api.GradientTape() as outer:
        with api.GradientTape() as inner:
            loss = ops.sum(v**4) + v[0] * v[1] + ops.sum(ops.exp(v))
        g = inner.gradient(loss, v)
    h = outer.jacobian(g, v) + 0.1 * ops.eye(2)
    v.assign_sub(ops.squeeze(ops.solve(h, g[:, None]), -1))
    return v


@program
def batch_jacobian_of_two_layers(api):
    x, first, second = constant(numbers(4, 3)), dense(3, 3, "elu"), dense(3, 2, "elu", seed=3)
    with api.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = second(first(x))
    return tape.batch_jacobian(y, x), tape.jacobian(y, x)


@program
def batch_jacobian_where_examples_mix(api):
    x, first, second = constant(numbers(4, 3)), dense(3, 3, "elu"), dense(3, 2, "elu", seed=3)
    norm = layers.BatchNormalization(epsilon=0.1)
    with api.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = second(norm(first(x), training=True))
    return tape.batch_jacobian(y, x), ops.sum(tape.jacobian(y, x), axis=2)


@program
def jacobian_of_what_is_not_connected(api):
    x, y = constant([1.0, 2.0]), keras.Variable([3.0])
    with api.GradientTape(persistent=True) as tape:
        tape.watch(x)
        z = x * 2.0
    return tape.jacobian(z, [x, y]), tape.jacobian(z, y)


@program
def jacobians_in_a_structure(api):
    a, b = keras.Variable([2.0, 1.0]), keras.Variable(3.0)
    with api.GradientTape() as tape:
        y = ops.stack([a[0] * b, a[1] ** 2])
    return tape.jacobian(y, {"a": a, "b": [b]})


@program
def jacobian_of_a_scalar_is_the_gradient(api):
    x = constant([[1.0, 2.0], [3.0, 4.0]])
    with api.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = ops.sum(x**3)
    return tape.jacobian(y, x), tape.gradient(y, x)


# State


@program
def an_assignment_after_the_reading(api):
    v = keras.Variable([2.0, 3.0])
    with api.GradientTape() as tape:
        y = v * v
        v.assign([10.0, 10.0])
    return tape.gradient(y, v), v


@program
def readings_before_and_after_an_assignment(api):
    v = keras.Variable(2.0)
    with api.GradientTape() as tape:
        y = v * v * v
        v.assign_add(1.0)
        z = y + v * v
    return tape.gradient(z, v), z


@program
def a_training_loop(api):
    layer, x, y = dense(3, 1), constant(numbers(8, 3)), constant(numbers(8, 1, seed=5))
    optimizer, losses = keras.optimizers.SGD(0.1), []
    for _ in range(3):
        with api.GradientTape() as tape:
            loss = ops.mean((layer(x) - y) ** 2)
        optimizer.apply(tape.gradient(loss, layer.trainable_variables), layer.trainable_variables)
        losses.append(loss)
    return losses, layer.kernel


@program
def an_embedding(api):
    layer = layers.Embedding(5, 2)
    layer.build()
    layer.set_weights([numbers(5, 2)])
    with api.GradientTape() as tape:
        y = ops.sum(layer(ops.convert_to_tensor([[1, 3, 1]], dtype="int32")) ** 2)
    return tape.gradient(y, layer.embeddings)


@program
def a_recurrent_layer(api):
    layer = layers.LSTM(2)
    layer.build((None, 3, 2))
    layer.set_weights([numbers(*v.shape, seed=i) for i, v in enumerate(layer.weights)])
    with api.GradientTape() as tape:
        y = ops.sum(layer(constant(numbers(2, 3, 2))) ** 2)
    return tape.gradient(y, layer.trainable_variables)


# Complex numbers


@program
def a_real_function_of_complex_numbers(api):
    z = ops.convert_to_tensor(np.array([1 + 2j, -0.5 + 1j], "complex64"))
    with api.GradientTape() as tape:
        tape.watch(z)
        y = ops.sum(ops.real(z * z * ops.conj(z)))
    return tape.gradient(y, z)


@program
def a_holomorphic_function(api):
    z = ops.convert_to_tensor(np.array([1 + 2j, -0.5 + 1j], "complex64"))
    with api.GradientTape() as tape:
        tape.watch(z)
        y = z * z * z
    return tape.gradient(y, z)


# Compiled functions


@program
def a_compiled_function_inside_the_block(api):
    v, f = keras.Variable([2.0, 3.0]), api.function(lambda x: ops.sin(x) * x)
    with api.GradientTape() as tape:
        y = f(v * 2.0) * v
    return tape.gradient(y, v)


@program
def a_tape_inside_a_compiled_function(api):
    @api.function
    def derivatives(x):
        with api.GradientTape() as outer:
            outer.watch(x)
            with api.GradientTape() as inner:
                inner.watch(x)
                y = ops.sin(x) * x
            dy = inner.gradient(y, x)
        return y, dy, outer.gradient(dy, x)

    return list(derivatives(constant([0.5, 2.0])))


# Errors that TensorFlow documents


@program
def a_second_answer(api):
    x = constant(2.0)
    with api.GradientTape() as tape:
        tape.watch(x)
        y = x * x
    return tape.gradient(y, x), error(tape.gradient, y, x), error(tape.jacobian, y, x)


@program
def an_answer_in_the_tapes_own_block(api):
    x = constant(2.0)
    with api.GradientTape() as tape:
        tape.watch(x)
        y = x * x
        answer = tape.gradient(y, x)
        z = y * x
    return answer, z, error(tape.gradient, z, x)


@program
def a_tape_that_was_never_entered(api):
    x = constant(2.0)
    return error(api.GradientTape().gradient, x, x)


@program
def no_target(api):
    x = constant(2.0)
    with api.GradientTape(persistent=True) as tape:
        tape.watch(x)
    return error(tape.gradient, None, x)


@program
def an_unknown_answer_to_unconnected(api):
    x = constant(2.0)
    with api.GradientTape() as tape:
        tape.watch(x)
        y = x * x
    return error(tape.gradient, y, x, unconnected_gradients="nothing")


@program
def recording_stopped_outside_the_block(api):
    def stop():
        with api.GradientTape().stop_recording():
            pass

    return error(stop)
