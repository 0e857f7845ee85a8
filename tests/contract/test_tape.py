"""The contract of a tape, as TensorFlow documents them; truth is numpy and calculus."""

from __future__ import annotations

import gc
import logging
import threading
import weakref

import keras
import numpy as np
import pytest
from helpers.arrays import close, tensor
from keras import layers, ops

import unikeras as uk
from unikeras.errors import ArgumentError, ArgumentValueError, TapeError

pytestmark = pytest.mark.usefixtures("backend")


def test_a_watched_tensor():
    x = tensor([1.0, 3.0])
    with uk.GradientTape() as tape:
        tape.watch(x)
        y = ops.sum(x**3)
    close(tape.gradient(y, x), [3.0, 27.0])


def test_what_is_not_a_scalar_is_summed():
    x = tensor([[1.0, 2.0], [3.0, 4.0]])
    with uk.GradientTape() as tape:
        tape.watch(x)
        y = x * x
    close(tape.gradient(y, x), [[2.0, 4.0], [6.0, 8.0]])


def test_trainable_variables_are_watched_and_others_are_not():
    trained, frozen = keras.Variable(3.0), keras.Variable(5.0, trainable=False)
    plain = tensor(2.0)
    with uk.GradientTape() as tape:
        y = trained * trained * frozen * plain
    with pytest.warns(UserWarning, match="is not trainable") as warned:
        gradients = tape.gradient(y, [trained, frozen, plain])
    assert len(warned) == 1
    assert "source 2 (a tensor of shape ()) is not watched" in str(warned[0].message)
    assert warned[0].filename == __file__
    close(gradients[0], 60.0)
    assert gradients[1:] == [None, None]


def test_a_variable_that_is_watched_by_hand_needs_not_be_trainable():
    frozen = keras.Variable(5.0, trainable=False)
    with uk.GradientTape() as tape:
        tape.watch(frozen)
        y = frozen * frozen
    close(tape.gradient(y, frozen), 10.0)
    assert not frozen.trainable


def test_watching_read_variables_can_be_switched_off():
    a, b = keras.Variable(3.0), keras.Variable(4.0)
    with uk.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(a)
        y = a * b
    with pytest.warns(UserWarning, match="watch_accessed_variables is False"):
        gradients = tape.gradient(y, [a, b])
    close(gradients[0], 4.0)
    assert gradients[1] is None


def test_the_answer_has_the_structure_of_the_sources():
    a, b = keras.Variable(2.0), keras.Variable(3.0)
    with uk.GradientTape() as tape:
        y = a * a * b
    answer = tape.gradient(y, {"a": a, "rest": (b, [a])})
    assert set(answer) == {"a", "rest"}
    close(answer["a"], 12.0)
    close(answer["rest"][0], 4.0)
    close(answer["rest"][1][0], 12.0)


def test_a_structure_of_targets_is_summed():
    x = tensor(3.0)
    with uk.GradientTape() as tape:
        tape.watch(x)
        y = {"square": x * x, "double": (2.0 * x,)}
    close(tape.gradient(y, x), 8.0)


def test_intermediate_results_are_sources_too():
    x = tensor(3.0)
    with uk.GradientTape() as tape:
        tape.watch(x)
        y = x * x
        z = y * y
    gradients = tape.gradient(z, [x, y])
    close(gradients[0], 108.0)
    close(gradients[1], 18.0)


def test_a_target_that_is_its_own_source():
    x = tensor([2.0, 5.0])
    with uk.GradientTape() as tape:
        tape.watch(x)
    close(tape.gradient(x, x), [1.0, 1.0])


def test_output_gradients_weigh_the_target():
    x = tensor([1.0, 2.0])
    with uk.GradientTape() as tape:
        tape.watch(x)
        y = x * x
    close(tape.gradient(y, x, output_gradients=tensor([10.0, 100.0])), [20.0, 400.0])


def test_unconnected_sources_are_none_or_zeros():
    x, other = tensor([1.0]), keras.Variable([1.0, 2.0])
    with uk.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x * 2.0
    assert tape.gradient(y, [x, other])[1] is None
    with pytest.warns(UserWarning, match="was not used inside the tape's block"):
        assert tape.gradient(y, other) is None
    zeros = tape.gradient(y, [x, other], unconnected_gradients="zero")
    close(zeros[0], [2.0])
    close(zeros[1], [0.0, 0.0])


def test_a_persistent_tape_answers_again_and_another_does_not():
    x = tensor(2.0)
    with uk.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x * x
        z = y * x
    close(tape.gradient(y, x), 4.0)
    close(tape.gradient(z, x), 12.0)
    with uk.GradientTape() as tape:
        tape.watch(x)
        y = x * x
    tape.gradient(y, x)
    with pytest.raises(TapeError, match=r"persistent=True"):
        tape.gradient(y, x)


def test_second_and_third_derivatives():
    x = tensor([1.0, 3.0])
    with uk.GradientTape() as third:
        third.watch(x)
        with uk.GradientTape() as second:
            second.watch(x)
            with uk.GradientTape() as first:
                first.watch(x)
                y = ops.sin(x) * x
            dy = first.gradient(y, x)
        d2y = second.gradient(dy, x)
    d3y = third.gradient(d2y, x)
    v = np.array([1.0, 3.0])
    close(dy, np.sin(v) + v * np.cos(v))
    close(d2y, 2 * np.cos(v) - v * np.sin(v))
    close(d3y, -3 * np.sin(v) - v * np.cos(v))


def test_mixed_derivatives_of_variables():
    a, b = keras.Variable(2.0), keras.Variable(3.0)
    with uk.GradientTape() as outer:
        with uk.GradientTape() as inner:
            y = a * a * b * b
        da = inner.gradient(y, a)
    close(outer.gradient(da, b), 2 * 2.0 * 2 * 3.0)


def test_a_gradient_penalty():
    layer = layers.Dense(1, use_bias=False)
    layer.build((None, 2))
    layer.kernel.assign([[3.0], [4.0]])
    x = tensor([[1.0, 1.0]])
    with uk.GradientTape() as outer:
        with uk.GradientTape() as inner:
            inner.watch(x)
            y = layer(x)
        norm = ops.sqrt(ops.sum(inner.gradient(y, x) ** 2))
        penalty = (norm - 1.0) ** 2
    # |w| = 5: d/dw (|w| - 1)^2 = 2 (|w| - 1) w / |w|
    close(outer.gradient(penalty, layer.kernel), [[4.8], [6.4]])


def test_two_tapes_over_one_computation_both_answer():
    a, b = keras.Variable(2.0), keras.Variable(3.0)
    with uk.GradientTape() as tape_a, uk.GradientTape() as tape_b:
        y = a * b * a
    close(tape_a.gradient(y, a), 12.0)
    close(tape_b.gradient(y, b), 4.0)


def test_values_inside_are_concrete():
    x = tensor([1.0, 2.0])
    with uk.GradientTape() as tape:
        tape.watch(x)
        y = x * x
        # Reading a value in the middle, and deciding by it, is what makes a tape debuggable.
        seen = ops.convert_to_numpy(ops.stop_gradient(y))
        y = y * 2.0 if seen[1] > 3.0 else y
    close(tape.gradient(y, x), [4.0, 8.0])


def test_stop_gradient_cuts_one_path_only():
    x = tensor([1.0, 3.0])
    with uk.GradientTape() as tape:
        tape.watch(x)
        y = x * ops.stop_gradient(x)
    close(tape.gradient(y, x), [1.0, 3.0])


def test_two_variables_that_hold_one_array_are_two_variables():
    student, teacher = keras.Variable([1.0, 2.0]), keras.Variable([0.0, 0.0])
    teacher.assign(student)
    with uk.GradientTape() as tape:
        y = student * teacher * teacher
    gradients = tape.gradient(y, [student, teacher])
    close(gradients[0], [1.0, 4.0])
    close(gradients[1], [2.0, 8.0])


def test_one_tensor_watched_and_held_by_a_variable():
    variable = keras.Variable([3.0])
    x = ops.convert_to_tensor(variable)
    with uk.GradientTape() as tape:
        y = variable * variable
    close(tape.gradient(y, variable), [6.0])
    close(x, [3.0])


def test_integers_are_left_out_with_a_warning(caplog):
    x = tensor([1, 2], dtype="int32")
    with caplog.at_level(logging.WARNING, logger="unikeras"), uk.GradientTape() as tape:
        tape.watch(x)
        y = ops.cast(x, "float32") * 2.0
    assert "int32" in caplog.text
    with pytest.warns(UserWarning, match="has dtype int32"):
        assert tape.gradient(y, x) is None


def test_the_last_reading_of_a_variable_counts_with_the_first():
    v = keras.Variable(2.0)
    with uk.GradientTape() as tape:
        y = v * 3.0
        z = v * 4.0
    close(tape.gradient([y, z], v), 7.0)


def test_gradients_have_the_dtype_of_the_variable_under_mixed_precision():
    layer = layers.Dense(3, dtype="mixed_bfloat16")
    layer.build((None, 2))
    with uk.GradientTape() as tape:
        y = ops.sum(layer(tensor([[1.0, 2.0]])))
    gradient = tape.gradient(y, layer.kernel)
    assert keras.backend.standardize_dtype(gradient.dtype) == "float32"
    close(gradient, [[1.0] * 3, [2.0] * 3])


def test_an_embedding_has_a_dense_gradient():
    layer = layers.Embedding(4, 2)
    layer.build()
    with uk.GradientTape() as tape:
        y = ops.sum(layer(tensor([1, 3, 1], dtype="int32")))
    close(tape.gradient(y, layer.embeddings), [[0.0] * 2, [2.0] * 2, [0.0] * 2, [1.0] * 2])


@pytest.mark.parametrize("make", [layers.LSTM, layers.GRU])
def test_recurrent_layers_agree_with_central_differences(make):
    layer = make(3)
    layer.build((None, 4, 2))
    rng = np.random.default_rng(0)
    layer.set_weights([rng.normal(size=variable.shape) for variable in layer.weights])
    x = tensor(rng.normal(size=(2, 4, 2)))

    def loss():
        return ops.sum(layer(x) ** 2)

    with uk.GradientTape() as tape:
        y = loss()
    gradient = ops.convert_to_numpy(tape.gradient(y, layer.trainable_variables[0]))
    kernel, step = layer.trainable_variables[0], 1e-2
    before = ops.convert_to_numpy(kernel.value)
    for i, j in [(0, 0), (1, 4), (0, 8)]:
        sides = []
        for sign in (1, -1):
            moved = before.copy()
            moved[i, j] += sign * step
            kernel.assign(moved)
            sides.append(float(ops.convert_to_numpy(loss())))
        kernel.assign(before)
        np.testing.assert_allclose(gradient[i, j], (sides[0] - sides[1]) / (2 * step), rtol=2e-2, atol=2e-3)


def test_a_layer_that_is_built_inside_the_block():
    layer = layers.Dense(1, use_bias=False, kernel_initializer="ones")
    with uk.GradientTape() as tape:
        y = ops.sum(layer(tensor([[2.0, 5.0]])))
    close(tape.gradient(y, layer.kernel), [[2.0], [5.0]])


def test_batchnorm_moves_its_statistics_inside_the_block():
    layer = layers.BatchNormalization(momentum=0.5)
    layer.build((None, 1))
    with uk.GradientTape() as tape:
        y = ops.sum(layer(tensor([[2.0], [4.0]]), training=True) ** 2)
    gradients = tape.gradient(y, layer.trainable_variables)
    close(layer.moving_mean, [1.5])
    assert all(gradient is not None for gradient in gradients)


def test_losses_added_by_layers_are_there_inside_and_after_the_block():
    layer = layers.ActivityRegularization(l2=1.0)
    x = tensor([[1.0, 2.0]])
    with uk.GradientTape() as tape:
        tape.watch(x)
        layer(x)
        loss = sum(layer.losses)
    assert len(layer.losses) == 1
    close(tape.gradient(loss, x), [[2.0, 4.0]])


def test_control_flow_of_keras():
    x = tensor(1.5)
    with uk.GradientTape() as tape:
        tape.watch(x)
        y = ops.fori_loop(0, 3, lambda i, total: total * x, x)
        z = ops.cond(x > 1.0, lambda: y * 2.0, lambda: y)
    close(tape.gradient(z, x), 2 * 4 * 1.5**3)


def test_custom_gradients_of_keras_are_used():
    @ops.custom_gradient
    def clipped(x):
        def grad(*args, upstream=None):
            if upstream is None:
                (upstream,) = args
            return upstream * 7.0

        return x * 1.0, grad

    x = tensor(3.0)
    with uk.GradientTape() as tape:
        tape.watch(x)
        y = clipped(x) * 2.0
    close(tape.gradient(y, x), 14.0)


def test_complex_gradients_follow_tensorflow():
    x = ops.view_as_complex(tensor([[1.0, 2.0]]))
    with uk.GradientTape() as tape:
        tape.watch(x)
        y = ops.sum(ops.real(x * x))
    # d Re(z^2): TensorFlow and PyTorch answer the conjugate of the holomorphic derivative 2 z
    close(tape.gradient(y, x), [2.0 - 4.0j])


def test_threads_do_not_see_each_other():
    x = tensor(2.0)
    answers = {}

    def work(power):
        for _ in range(20):
            with uk.GradientTape() as tape:
                tape.watch(x)
                y = x**power
            answers[power] = float(ops.convert_to_numpy(tape.gradient(y, x)))

    threads = [threading.Thread(target=work, args=(power,)) for power in (2, 3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {power: round(answer, 3) for power, answer in answers.items()} == {2: 4.0, 3: 12.0, 4: 32.0}


def test_an_exception_in_the_block_leaves_nothing_behind(backend):
    x = tensor([1.0])
    frozen = keras.Variable([1.0], trainable=False)
    before = [getattr(value, "requires_grad", None) for value in (x, frozen.value)]

    def fail():
        with uk.GradientTape() as tape:
            tape.watch([x, frozen])
            raise KeyError("in the middle")

    with pytest.raises(KeyError, match="in the middle"):
        fail()
    assert [getattr(value, "requires_grad", None) for value in (x, frozen.value)] == before
    with uk.GradientTape() as tape:
        tape.watch(x)
        y = x * 5.0
    close(tape.gradient(y, x), [5.0])


def test_users_tensors_are_left_as_they_were():
    x = tensor([1.0, 2.0])
    variable = keras.Variable([3.0, 4.0])
    with uk.GradientTape() as tape:
        tape.watch(x)
        y = ops.sum(x * variable)
    tape.gradient(y, [x, variable])
    assert not getattr(x, "requires_grad", False)
    assert getattr(variable.value, "grad", None) is None
    # A target that has been answered for no longer drags its graph along.
    assert not getattr(y, "requires_grad", False)


@pytest.mark.parametrize(
    ("target", "sources", "named"),
    [("text", None, "str"), (None, None, "NoneType"), (None, 1.0, "float"), (None, np.ones(2), "ndarray")],
)
def test_what_is_not_a_tensor_is_named(target, sources, named):
    x = tensor([1.0])
    with uk.GradientTape() as tape:
        tape.watch(x)
        y = x * 2.0
    with pytest.raises(ArgumentError, match=named) as caught:
        tape.gradient(y if sources is not None else target, x if sources is None else sources)
    assert isinstance(caught.value, TypeError)


def test_misuse_says_what_to_do():
    x = tensor([1.0])
    with pytest.raises(TapeError, match="with"):
        uk.GradientTape().watch(x)
    with pytest.raises(TapeError, match="never entered"):
        uk.GradientTape().gradient(x, x)
    with uk.GradientTape() as tape:
        with pytest.raises(TapeError, match="second tape"):
            tape.__enter__()
        tape.watch(x)
        y = x * 2.0
    with pytest.raises(ArgumentError, match="2 tensors, target has 1"):
        tape.gradient(y, x, output_gradients=[x, x])
    with pytest.raises(ValueError, match="'none' or 'zero'"):
        tape.gradient(y, x, unconnected_gradients="nothing")
    close(tape.gradient(y, x), [2.0])


def test_stop_recording_is_for_one_tape():
    x = tensor(3.0)
    with uk.GradientTape() as outer:
        outer.watch(x)
        with uk.GradientTape() as inner:
            inner.watch(x)
            y = x * x
            with inner.stop_recording():
                z = x * x * x
            w = y + z
        close(inner.gradient(w, x), 6.0)
    close(outer.gradient(w, x), 6.0 + 27.0)


def test_stop_recording_of_the_only_tape():
    x = tensor(3.0)
    with uk.GradientTape() as tape:
        tape.watch(x)
        y = x * x
        with tape.stop_recording():
            z = y * 10.0
        w = x * z
    close(tape.gradient(w, x), 90.0)


def test_reset_forgets():
    x = tensor(3.0)
    with uk.GradientTape() as tape:
        tape.watch(x)
        y = x * x
        tape.reset()
        tape.watch(x)
        z = y + x * 2.0
    assert tape.watched_variables() == ()
    close(tape.gradient(z, x), 2.0)


def test_watched_variables_are_the_keras_variables():
    a, b, c = keras.Variable(1.0), keras.Variable(2.0), keras.Variable(3.0, trainable=False)
    with uk.GradientTape() as tape:
        tape.watch(c)
        b * a
    assert [id(v) for v in tape.watched_variables()] == [id(c), id(b), id(a)]


def test_a_frozen_layer_is_not_watched():
    layer = layers.Dense(1)
    layer.build((None, 2))
    layer.trainable = False
    with uk.GradientTape() as tape:
        y = ops.sum(layer(tensor([[1.0, 2.0]])))
    with pytest.warns(UserWarning, match="is not trainable"):
        assert tape.gradient(y, layer.weights) == [None, None]


def test_an_assignment_leaves_the_value_that_was_read():
    v = keras.Variable([2.0, 3.0])
    with uk.GradientTape() as tape:
        y = v * v * v
        v.assign([10.0, 10.0])
        z = y + v * v
    close(z, [108.0, 127.0])
    close(tape.gradient(z, v), [12.0 + 20.0, 27.0 + 20.0])
    close(v, [10.0, 10.0])


def test_an_update_between_two_answers():
    a, b = keras.Variable([2.0]), keras.Variable([3.0])
    with uk.GradientTape(persistent=True) as tape:
        y = a * a * b
    close(tape.gradient(y, a), [12.0])
    a.assign([100.0])
    close(tape.gradient(y, b), [4.0])


def test_what_was_computed_before_the_block_is_not_recorded():
    v, x = keras.Variable(2.0), tensor(3.0)
    before = v * v
    with uk.GradientTape() as tape:
        tape.watch(x)
        y = before * x
    gradients = tape.gradient([y, before], [v, x])
    assert gradients[0] is None
    close(gradients[1], 4.0)


def test_an_inner_tape_does_not_see_what_the_outer_one_watches():
    x = tensor(2.0)
    with uk.GradientTape() as outer:
        outer.watch(x)
        with uk.GradientTape() as inner:
            y = x * x
        with pytest.warns(UserWarning, match="tape.watch"):
            assert inner.gradient(y, x) is None
    close(outer.gradient(y, x), 4.0)


def test_a_gradient_taken_in_the_tapes_own_block():
    x = tensor(2.0)
    with uk.GradientTape() as tape:
        tape.watch(x)
        y = x * x * x
        close(tape.gradient(y, x), 12.0)
    with uk.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x * x * x
        dy = tape.gradient(y, x)
    close(tape.gradient(dy, x), 12.0)


def test_jacobian_of_tensors_and_variables():
    w = keras.Variable([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    x = tensor([1.0, -1.0])
    with uk.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = ops.matmul(w, x) ** 2
    values = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    product = values @ [1.0, -1.0]
    jacobian = tape.jacobian(y, {"x": x, "w": w})
    close(jacobian["x"], 2 * product[:, None] * values)
    expected = np.zeros((3, 3, 2))
    for i in range(3):
        expected[i, i] = 2 * product[i] * np.array([1.0, -1.0])
    close(jacobian["w"], expected)


def test_jacobian_of_what_is_not_connected():
    x, other = tensor([1.0, 2.0]), keras.Variable([1.0])
    with uk.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x * 2.0
    assert tape.jacobian(y, [x, other])[1] is None
    close(tape.jacobian(y, other, unconnected_gradients="zero"), np.zeros((2, 1)))


def test_batch_jacobian():
    x = tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    with uk.GradientTape() as tape:
        tape.watch(x)
        y = ops.stack([x[:, 0] * x[:, 1], x[:, 0] ** 2, x[:, 1]], axis=1)
    values = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    expected = np.array([[[b, a], [2 * a, 0], [0, 1]] for a, b in values])
    close(tape.batch_jacobian(y, x), expected)


def test_a_hessian_by_nested_tapes():
    x = tensor([1.0, 2.0])
    with uk.GradientTape() as outer:
        outer.watch(x)
        with uk.GradientTape() as inner:
            inner.watch(x)
            y = x[0] ** 2 * x[1] ** 3
        gradient = inner.gradient(y, x)
    close(outer.jacobian(gradient, x), [[16.0, 24.0], [24.0, 12.0]])


def test_bad_jacobians_are_named():
    x = tensor([1.0, 2.0])
    with uk.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x * 2.0
    with pytest.raises(ArgumentError, match="int32"):
        tape.jacobian(ops.cast(y, "int32"), x)
    with pytest.raises(ArgumentValueError, match=r"\(2,\).*\(3,\)"):
        tape.batch_jacobian(y, tensor([1.0, 2.0, 3.0]))


def test_an_inner_tape_answers_for_its_own_block_only():
    x = tensor(3.0)
    with uk.GradientTape() as outer:
        outer.watch(x)
        before = x * x
        with uk.GradientTape() as inner:
            inner.watch(x)
            z = before * x
        close(inner.gradient(z, x), 9.0)
    close(outer.gradient(z, x), 27.0)


def test_a_persistent_tape_is_collected_with_all_that_it_holds():
    v = keras.Variable([1.0])
    with uk.GradientTape(persistent=True) as tape:
        y = v * v
    close(tape.gradient(y, v), [2.0])
    backend_tape = weakref.ref(tape._backend_tape)
    del tape
    gc.collect()
    assert backend_tape() is None
