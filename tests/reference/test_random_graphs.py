"""Random expression graphs: the tape, uk.grad and central differences of a numpy interpreter agree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

import unikeras as uk

# Smooth, and bounded enough that a chain of them stays within float32's comfort.
ONE = {
    "sin": (ops.sin, np.sin),
    "tanh": (ops.tanh, np.tanh),
    "negative": (ops.negative, np.negative),
    "softplus": (ops.softplus, lambda x: np.logaddexp(x, 0)),
    "bounded_square": (lambda x: x * x / (1.0 + x * x), lambda x: x * x / (1 + x * x)),
}
TWO = {
    "add": (ops.add, np.add),
    "subtract": (ops.subtract, np.subtract),
    "multiply": (lambda a, b: ops.tanh(a) * b, lambda a, b: np.tanh(a) * b),
    "divide": (lambda a, b: a / (1.0 + b * b), lambda a, b: a / (1 + b * b)),
}
STOP = "stop_gradient"


@dataclass(frozen=True)
class Graph:
    """Inputs first; then nodes, each an operation and the numbers of earlier values; the last is the result."""

    inputs: tuple[tuple[float, ...], ...]
    nodes: tuple[tuple[str, tuple[int, ...]], ...]
    watched: tuple[int, ...]


@st.composite
def graphs(draw):
    number = st.floats(-2, 2, width=32)
    count = draw(st.integers(1, 3))
    inputs = tuple(draw(st.tuples(number, number)) for _ in range(count))
    nodes = []
    for known in range(count, count + draw(st.integers(5, 15))):
        name = draw(st.sampled_from([*ONE, *TWO, *TWO, STOP]))
        places = st.integers(0, known - 1)
        # The newest value is taken often, so that graphs are deep; the other from anywhere, so that parts are shared.
        first = draw(st.one_of(st.just(known - 1), places))
        nodes.append((name, (first, draw(places)) if name in TWO else (first,)))
    watched = draw(st.sets(st.integers(0, count - 1), min_size=1))
    return Graph(inputs, tuple(nodes), tuple(sorted(watched)))


def by_keras(graph, inputs):
    values = list(inputs)
    for name, places in graph.nodes:
        f = uk.stop_gradient if name == STOP else (ONE | TWO)[name][0]
        values.append(f(*(values[i] for i in places)))
    return ops.sum(values[-1])


def by_numpy(graph, inputs, stopped=None):
    """Return the result and what was stopped; `stopped` keeps that where it was, for it is a constant."""
    values, cut = list(inputs), []
    for name, places in graph.nodes:
        arguments = [values[i] for i in places]
        if name == STOP:
            values.append(arguments[0] if stopped is None else stopped[len(cut)])
            cut.append(values[-1])
        else:
            values.append((ONE | TWO)[name][1](*arguments))
    return np.sum(values[-1]), cut


def central_differences(graph, inputs, number, step=1e-6):
    _, stopped = by_numpy(graph, inputs)
    gradient = np.zeros_like(inputs[number])
    for index in range(gradient.size):
        for sign in (1, -1):
            moved = [value.copy() for value in inputs]
            moved[number][index] += sign * step
            gradient[index] += sign * by_numpy(graph, moved, stopped)[0] / (2 * step)
    return gradient


def connected(graph, number):
    """Say whether a path that nothing stops leads from an input to the result."""
    reached = {number}
    for node, (name, places) in enumerate(graph.nodes, start=len(graph.inputs)):
        if name != STOP and reached.intersection(places):
            reached.add(node)
    return len(graph.inputs) + len(graph.nodes) - 1 in reached


@pytest.mark.filterwarnings("ignore:the gradient is None")  # as it has to be for many of these graphs
@settings(max_examples=50, derandomize=True, deadline=None, database=None)
@given(graphs())
def test_tape_grad_and_central_differences_agree(graph):
    inputs = [np.array(value, "float64") for value in graph.inputs]
    tensors = [ops.convert_to_tensor(value, dtype="float32") for value in inputs]
    with uk.GradientTape() as tape:
        tape.watch([tensors[i] for i in graph.watched])
        y = by_keras(graph, tensors)
    answers = tape.gradient(y, tensors)
    gradients = uk.grad(lambda *xs: by_keras(graph, xs), tuple(range(len(tensors))))(*tensors)
    for number, (answer, gradient) in enumerate(zip(answers, gradients, strict=True)):
        expected = central_differences(graph, inputs, number)
        tolerance = {"rtol": 1e-3, "atol": 1e-4 * max(1.0, np.abs(expected).max())}
        np.testing.assert_allclose(ops.convert_to_numpy(gradient), expected, **tolerance)
        # None says that there is no path; a path along which the gradient happens to be zero has zeros.
        assert (answer is not None) == (number in graph.watched and connected(graph, number))
        if answer is not None:
            np.testing.assert_allclose(ops.convert_to_numpy(answer), expected, **tolerance)
