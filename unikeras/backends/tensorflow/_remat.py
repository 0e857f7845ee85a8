"""A function that is traced, and run again on the way back with the state that the first run saw.

tf.recompute_grad gives no gradient to tensors from outside and to keyword arguments, and reads variables anew. A
trace knows what comes from outside: its captures. Variables are read there, outside the trace, and captured too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import keras
import tensorflow as tf
from keras.src.backend.common import global_state
from keras.src.backend.common.variables import AutocastScope
from tensorflow.python.eager import context, forwardprop_util, record

from unikeras.backends import variable_reads


def remat(f: Callable[[Sequence[Any]], list[Any]], tensors: Sequence[Any]) -> list[Any]:
    """Run a function that keeps only its inputs for the backward pass."""
    tensors = [tf.convert_to_tensor(tensor) for tensor in tensors]  # tf.Variables among them are read here
    program = _traced(f, tensors)
    captured = list(program.captured_inputs)
    inputs = [*tensors, *captured]
    passed = [i for i, tensor in enumerate(inputs) if not _is_handle(tensor)]

    def call(values: Sequence[Any]) -> list[Any]:
        every = list(inputs)
        for i, value in zip(passed, values, strict=True):
            every[i] = value
        return list(program._call_flat(every[: len(tensors)], every[len(tensors) :]))

    if not program.outputs or forwardprop_util.pack_tangents(inputs).indices:
        # Tangents are lost at a custom gradient that calls a tf.function on the way back.
        return call([inputs[i] for i in passed])

    @tf.custom_gradient
    def run(*values: Any) -> Any:
        with record.stop_recording():
            outputs = call(values)

        def backward(*weights: Any, variables: Sequence[Any] = ()) -> Any:
            found = _pulled(call, _after(weights, values), weights, variables)
            gradients, of_variables = found[: len(values)], found[len(values) :]
            return (gradients, of_variables) if variables else gradients

        return outputs, backward

    return list(run(*(inputs[i] for i in passed)))


def _after(weights: Sequence[Any], values: Sequence[Any]) -> list[Any]:
    """Return values that a graph has when it has the weights, so that it computes from them then and not before."""
    first = next((weight for weight in weights if _is_inexact(weight)), None)
    if first is None or tf.executing_eagerly():
        return list(values)
    # Grappler and XLA leave out what is known to be zero, and control dependencies; as in tf.recompute_grad.
    element = tf.reduce_max(tf.abs(tf.reshape(first, [-1])[:1]))
    nothing = tf.where(tf.equal(element, element), tf.zeros_like(element), element)
    return [value + tf.cast(nothing, value.dtype) if _is_inexact(value) else value for value in values]


def _pulled(
    call: Callable[[Sequence[Any]], list[Any]],
    values: Sequence[Any],
    weights: Sequence[Any],
    variables: Sequence[Any],
) -> list[Any]:
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch([value for value in values if _is_inexact(value)])
        tape.watch(variables)
        outputs = call(values)
    pairs = [(output, weight) for output, weight in zip(outputs, weights, strict=True) if _is_inexact(output)]
    sources = [*values, *variables]
    if not pairs:
        return [None] * len(sources)
    targets, given = zip(*pairs, strict=True)
    return list(tape.gradient(list(targets), sources, output_gradients=list(given)))


def _traced(f: Callable[[Sequence[Any]], list[Any]], tensors: Sequence[Any]) -> Any:
    entry = _Entry()

    def flat(*values: Any) -> list[Any]:
        with entry, variable_reads.unseen():
            return f(values)

    specs = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in tensors]
    return tf.function(flat, autograph=False).get_concrete_function(*specs)


class _Entry(keras.StatelessScope):
    """Returns the values that variables had where it was made, read there for whoever records there."""

    def __init__(self) -> None:
        super().__init__(initialize_variables=False)
        self._graph = None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()
        self._tapes = variable_reads.tapes()
        self._scope = global_state.get_global_attribute("stateless_scope")

    def get_current_value(self, variable: keras.Variable) -> Any:
        """Return a variable's value."""
        if id(variable) not in self.state_mapping:
            inside = global_state.get_global_attribute("stateless_scope")
            global_state.set_global_attribute("stateless_scope", self._scope)
            try:
                with self._outside(), variable_reads.seen_by(self._tapes), AutocastScope(None):
                    self.state_mapping[id(variable)] = tf.convert_to_tensor(variable.value)
            finally:
                global_state.set_global_attribute("stateless_scope", inside)
        return self.state_mapping[id(variable)]

    def _outside(self) -> AbstractContextManager[Any]:
        return context.eager_mode() if self._graph is None else self._graph.as_default()


def _is_handle(tensor: Any) -> bool:
    return tensor.dtype in (tf.resource, tf.variant)


def _is_inexact(tensor: Any) -> bool:
    return bool(tensor.dtype.is_floating or tensor.dtype.is_complex)
