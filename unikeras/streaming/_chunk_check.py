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
from unikeras._base.text import brief
from unikeras._keras.graph import graph_of, mask_of, nodes
from unikeras._keras.samples import Sizes, ranges, sample
from unikeras._specs.signature import TensorSpec
from unikeras.functions import Function
from unikeras.streaming._closeness import is_close
from unikeras.streaming._refusal import refusal
from unikeras.streaming._steps_alone import check_alone, random_values
from unikeras.streaming._streaming_graph import Streaming

BATCH = 2
# Chunks of different lengths: what a layer does to the second shows whether it needed the first, and what it does to
# a single step whether it needs several.
CHUNKS = (2, 3, 1)


def check(model: Any, graph: Streaming) -> list[bool]:
    """Refuse a graph of which a call needs steps of another chunk.

    It runs with random weights, since those of a new model may hide what a layer does: a gate that begins
    closed, a kernel of zeros. What looks further than these chunks is found by `check_alone`.

    Args:
        model: what the graph is of.
        graph: the model with state.

    Returns:
        For each of the outputs, flat, whether it has a value for each step.

    Raises:
        CannotStream: it names the first layer whose output differs.
    """
    inputs = _samples(model, graph, sum(CHUNKS))
    length = _length(model, graph)
    own = None if length == sum(CHUNKS) else _samples(model, graph, length)
    # One program for all of it: op by op, JAX would compile dozens.
    run = Function(functools.partial(_run_both_ways, model, graph, _random_weights(graph)))
    zeros = [np.zeros((BATCH, *spec.shape), spec.dtype) for spec in graph.states]
    found, masks = run(inputs, own, zeros)
    outputs, expected, *runs = [[_numpy(value) for value in values] for values in found]
    whole, *parts = [dict(zip(_ids(graph), values, strict=True)) for values in runs]
    known = {
        key: _numpy(masks[str(number)]) for number, key in enumerate(_ids(graph)) if str(number) in masks
    }
    _compare_calls(graph, whole, parts, known)
    if not all(map(is_close, outputs, expected)):
        raise refusal(model.name, model, "computes something else than the graph that Keras keeps of it")
    sequences = {key for key in whole if _is_sequence(key, whole, parts)}
    check_alone(graph, whole, known, sequences)
    return [id(tensor) in sequences for tensor in tree.flatten(graph.outputs)]


def _run_both_ways(
    model: Any, graph: Streaming, weights: Any, inputs: Any, own: Any, zeros: Any
) -> tuple[list[list[Any]], dict[str, Any]]:
    """Run model and graph.

    Args:
        model: the model.
        graph: it with state.
        weights: what to put in place of its variables.
        inputs: as many steps as all chunks have.
        own: inputs of the one length that the model takes; None where it takes that of all chunks.
        zeros: the state at the beginning.

    Returns:
        What the model gives, what the graph gives in its place, and each tensor of the graph for the whole and for each
        chunk; and the masks of the whole, by the numbers of the tensors.
    """
    with keras.StatelessScope(state_mapping=weights):
        runs = [_run(graph, inputs, zeros)]
        state = zeros
        for chunk in _chunks(graph, inputs):
            runs.append(_run(graph, chunk, state))
            state = [runs[-1][id(tensor)] for tensor in graph.state_outputs]
        # A stateful layer takes the batch that it was made for, and what it remembers.
        remembers = any(getattr(layer, "stateful", False) for layer in model._flatten_layers())
        taken = inputs if own is None else own
        outputs = [] if remembers else tree.flatten(_model_outputs(model, graph, taken))
        known = runs[0] if own is None or remembers else _run(graph, own, zeros)
        expected = [known[id(tensor)] for tensor in tree.flatten(graph.outputs)][: len(outputs)]
    found = {str(number): mask_of(runs[0][key]) for number, key in enumerate(_ids(graph))}
    masks = {number: mask for number, mask in found.items() if mask is not None}
    return [outputs, expected, *([values[key] for key in _ids(graph)] for values in runs)], masks


def _model_outputs(model: Any, graph: Streaming, inputs: Sequence[Any]) -> Any:
    return model(tree.pack_sequence_as(graph.inputs, inputs), training=False)


def _ids(graph: Streaming) -> list[int]:
    """Return the ids of the graph's tensors, inputs among them, in the order in which they are computed."""
    return list(dict.fromkeys(id(tensor) for node in nodes(graph.model) for tensor in node.outputs))


def _length(model: Any, graph: Streaming) -> int:
    """Return a number of steps that the model takes."""
    source: Any = graph_of(model)
    pairs = zip(tree.flatten(source._inputs_struct), _have_time(graph), strict=True)
    fixed = [tensor.shape[1] for tensor, has_time in pairs if has_time and tensor.shape[1] is not None]
    return max(fixed, default=sum(CHUNKS))


def _samples(model: Any, graph: Streaming, length: int) -> list[Any]:
    tensors = tree.flatten(graph.inputs)
    specs = [
        TensorSpec(f"input_{number}", tensor.shape, tensor.dtype) for number, tensor in enumerate(tensors)
    ]
    sizes = Sizes(BATCH, length)
    values = [
        sample(spec, high, sizes, number)
        for number, (spec, high) in enumerate(zip(specs, ranges(model, specs, model.inputs), strict=True))
    ]
    return [
        _with_a_last_step(_with_masked_steps(model, value, has_time), has_time)
        for value, has_time in zip(values, _have_time(graph), strict=True)
    ]


def _with_a_last_step(value: Any, has_time: bool) -> Any:
    """Return an input whose last step, a chunk of its own, is no padding of zeros.

    What a layer returns at the end of a chunk without an unmasked step is of no consequence: the graph repeats what
    the chunk before returned.
    """
    if has_time:
        value[:, -1] = np.where(value[:, -1] == 0, np.ones((), value.dtype), value[:, -1])
    return value


def _with_masked_steps(model: Any, value: Any, has_time: bool) -> Any:
    """Return an input with two steps of the second row that a Masking layer of the model leaves out."""
    masked = [
        layer.mask_value for layer in model._flatten_layers() if isinstance(layer, keras.layers.Masking)
    ]
    if masked and has_time and value.dtype.kind == "f":
        value[1, 1:4:2] = masked[0]
    return value


def _have_time(graph: Streaming) -> list[bool]:
    return [tensor.shape[1:2] == (None,) for tensor in tree.flatten(graph.inputs)]


def _chunks(graph: Streaming, inputs: Sequence[Any]) -> Iterator[list[Any]]:
    has_time = _have_time(graph)
    begin = 0
    for length in CHUNKS:
        end = begin + length
        yield [x[:, begin:end] if timed else x for x, timed in zip(inputs, has_time, strict=True)]
        begin = end


def _random_weights(graph: Streaming) -> list[tuple[Any, Any]]:
    rng = np.random.default_rng(0)
    return [
        (variable, keras.ops.convert_to_tensor(random_values(rng, variable), variable.dtype))
        for variable in graph.model.weights
        if "float" in variable.dtype
    ]


def _run(graph: Streaming, inputs: Sequence[Any], state: Sequence[Any]) -> dict[int, Any]:
    """Return what each tensor of the graph is, by its id."""
    tensors = [*tree.flatten(graph.inputs), *graph.state_inputs]
    values = {
        id(tensor): keras.ops.convert_to_tensor(value, tensor.dtype)
        for tensor, value in zip(tensors, [*inputs, *state], strict=True)
    }
    for node in nodes(graph.model):
        if node.is_input:
            continue
        args, kwargs = node.arguments.fill_in(values)
        with _blame(graph, node.operation):
            outputs = node.operation(*args, **kwargs)
        flat = list(zip(node.outputs, tree.flatten(outputs), strict=True))
        # The layer after it would be blamed: some backends run no recurrence over no steps.
        if any(0 in output.shape and 0 not in tensor.shape for tensor, output in flat):
            raise refusal(graph.path(node.operation), node.operation, "leaves no step of a chunk of one")
        values.update({id(tensor): output for tensor, output in flat})
    return values


@contextlib.contextmanager
def _blame(graph: Streaming, layer: Any) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # a layer may raise anything
        raise refusal(
            graph.path(layer), layer, f"does not take a chunk of any length ({brief(error)})"
        ) from error


def _compare_calls(
    graph: Streaming, whole: dict[int, Any], parts: Sequence[dict[int, Any]], masks: dict[int, Any]
) -> None:
    for node in nodes(graph.model):
        for tensor in node.outputs:
            pieces = [part[id(tensor)] for part in parts]
            in_chunks = np.concatenate(pieces, 1) if _is_sequence(id(tensor), whole, parts) else pieces[-1]
            mask = masks.get(id(tensor))
            if not is_close(whole[id(tensor)], in_chunks, mask) and not node.is_input:
                raise refusal(
                    graph.path(node.operation), node.operation, "uses steps of other chunks, or chance"
                )


def _is_sequence(key: int, whole: dict[int, Any], parts: Sequence[dict[int, Any]]) -> bool:
    shapes = [tuple(values[key].shape) for values in (whole, *parts)]
    return [shape[1:2] for shape in shapes] == [(length,) for length in (sum(CHUNKS), *CHUNKS)]


def _numpy(tensor: Any) -> Any:
    return backends.current().to_numpy(tensor)
