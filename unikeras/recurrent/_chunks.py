"""Does a model give in chunks what it gives at once? Its graph is run both ways, call by call."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
from keras import tree

from unikeras import backends
from unikeras._graphs import nodes
from unikeras.export._samples import Sizes, ranges, sample
from unikeras.export._signature import TensorSpec
from unikeras.export._text import brief
from unikeras.recurrent._refusal import refusal
from unikeras.recurrent._streaming import Streaming
from unikeras.training._function import Function

BATCH = 2
# Two chunks of different lengths: what a layer does to the second shows whether it needed the first.
CHUNKS = (2, 3)


def check(model: Any, graph: Streaming) -> list[bool]:
    """Refuse a graph of which a call needs steps of another chunk.

    It runs with random weights, since those of a new model may hide what a layer does: a gate that begins
    closed, a kernel of zeros.

    Args:
        model: what the graph is of.
        graph: the model with memory.

    Returns:
        For each of the outputs, flat, whether it has a value for each step.

    Raises:
        CannotStream: it names the first layer whose output differs.
    """
    inputs = _samples(model, graph)
    # One program for all of it: op by op, JAX would compile dozens.
    run = Function(functools.partial(_run_both_ways, model, graph, _random_weights(graph)))
    zeros = [np.zeros((BATCH, *spec.shape), spec.dtype) for spec in graph.states]
    outputs, *runs = [[_numpy(value) for value in values] for values in run(inputs, zeros)]
    whole, *parts = [dict(zip(_ids(graph), values, strict=True)) for values in runs]
    _compare_calls(graph, whole, parts)
    _compare_with_model(model, graph, outputs, whole)
    return [_is_sequence(id(tensor), whole, parts) for tensor in tree.flatten(graph.outputs)]


def _run_both_ways(model: Any, graph: Streaming, weights: Any, inputs: Any, zeros: Any) -> list[list[Any]]:
    """Return what the model gives, then what each tensor of the graph is for the whole and for each chunk."""
    with keras.StatelessScope(state_mapping=weights):
        runs = [_run(graph, inputs, zeros)]
        memory = zeros
        for chunk in _chunks(graph, inputs):
            runs.append(_run(graph, chunk, memory))
            memory = [runs[-1][id(tensor)] for tensor in graph.state_outputs]
        # A stateful layer takes the batch that it was made for, and what it remembers.
        remembers = any(getattr(layer, "stateful", False) for layer in model._flatten_layers())
        outputs = [] if remembers else tree.flatten(_model_outputs(model, graph, inputs))
    return [outputs, *([values[key] for key in _ids(graph)] for values in runs)]


def _model_outputs(model: Any, graph: Streaming, inputs: Sequence[Any]) -> Any:
    return model(tree.pack_sequence_as(graph.inputs, inputs), training=False)


def _ids(graph: Streaming) -> list[int]:
    """Return the ids of the graph's tensors, inputs among them, in the order in which they are computed."""
    return list(dict.fromkeys(id(tensor) for node in nodes(graph.model) for tensor in node.outputs))


def _samples(model: Any, graph: Streaming) -> list[Any]:
    tensors = tree.flatten(graph.inputs)
    specs = [
        TensorSpec(f"input_{number}", tensor.shape, tensor.dtype) for number, tensor in enumerate(tensors)
    ]
    sizes = Sizes(BATCH, sum(CHUNKS))
    return [
        sample(spec, high, sizes, number)
        for number, (spec, high) in enumerate(zip(specs, ranges(model, specs, model.inputs), strict=True))
    ]


def _chunks(graph: Streaming, inputs: Sequence[Any]) -> Iterator[list[Any]]:
    has_time = [tensor.shape[1:2] == (None,) for tensor in tree.flatten(graph.inputs)]
    begin = 0
    for length in CHUNKS:
        end = begin + length
        yield [x[:, begin:end] if timed else x for x, timed in zip(inputs, has_time, strict=True)]
        begin = end


def _random_weights(graph: Streaming) -> list[tuple[Any, Any]]:
    rng = np.random.default_rng(0)
    return [
        (variable, keras.ops.convert_to_tensor(_random(rng, variable), variable.dtype))
        for variable in graph.model.weights
        if "float" in variable.dtype
    ]


def _random(rng: np.random.Generator, variable: Any) -> Any:
    values = rng.normal(size=variable.shape)
    if not variable.trainable:
        return np.abs(values) + 0.1  # variances are among them
    fan_in = int(np.prod(variable.shape[:-1])) or 1
    return values * max(0.05, fan_in**-0.5)


def _run(graph: Streaming, inputs: Sequence[Any], memory: Sequence[Any]) -> dict[int, Any]:
    """Return what each tensor of the graph is, by its id."""
    tensors = [*tree.flatten(graph.inputs), *graph.state_inputs]
    values = {
        id(tensor): keras.ops.convert_to_tensor(value, tensor.dtype)
        for tensor, value in zip(tensors, [*inputs, *memory], strict=True)
    }
    for node in nodes(graph.model):
        if node.is_input:
            continue
        args, kwargs = node.arguments.fill_in(values)
        with _named(graph, node.operation):
            outputs = node.operation(*args, **kwargs)
        flat = zip(node.outputs, tree.flatten(outputs), strict=True)
        values.update({id(tensor): output for tensor, output in flat})
    return values


@contextlib.contextmanager
def _named(graph: Streaming, layer: Any) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # a layer may raise anything
        raise refusal(
            graph.path(layer), layer, f"does not take a chunk of any length ({brief(error)})"
        ) from error


def _compare_calls(graph: Streaming, whole: dict[int, Any], parts: Sequence[dict[int, Any]]) -> None:
    for node in nodes(graph.model):
        for tensor in node.outputs:
            pieces = [part[id(tensor)] for part in parts]
            in_chunks = np.concatenate(pieces, 1) if _is_sequence(id(tensor), whole, parts) else pieces[-1]
            if not _close(whole[id(tensor)], in_chunks) and not node.is_input:
                raise refusal(
                    graph.path(node.operation), node.operation, "uses steps of other chunks, or chance"
                )


def _compare_with_model(model: Any, graph: Streaming, outputs: Sequence[Any], whole: dict[int, Any]) -> None:
    for tensor, output in zip(tree.flatten(graph.outputs), outputs, strict=False):
        if not _close(output, whole[id(tensor)]):
            raise refusal(model.name, model, "computes something else than the graph that Keras keeps of it")


def _is_sequence(key: int, whole: dict[int, Any], parts: Sequence[dict[int, Any]]) -> bool:
    shapes = [tuple(values[key].shape) for values in (whole, *parts)]
    return [shape[1:2] for shape in shapes] == [(length,) for length in (sum(CHUNKS), *CHUNKS)]


def _numpy(tensor: Any) -> Any:
    return backends.current().to_numpy(tensor)


def _close(one: Any, other: Any) -> bool:
    if one.shape != other.shape:
        return False
    if one.dtype.kind in "biu":
        return bool((one == other).all())
    tolerance = 1e-3 if one.dtype.itemsize > 2 else 5e-2
    one, other = (array.astype("float64") for array in (one, other))
    scale = float(np.max(np.abs(one), initial=1e-6))
    return bool(np.allclose(one, other, rtol=0, atol=tolerance * scale, equal_nan=True))
