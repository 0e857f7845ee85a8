"""Whether a state is a model's: what determines how the model reads it, as a digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import keras
from keras import tree

from unikeras import backends
from unikeras._keras.graph import nodes
from unikeras._keras.without_tensorflow import without_tensorflow
from unikeras.streaming._streaming_graph import Streaming

# What a config holds besides the computation: names, which Keras numbers by itself, and how things begin,
# are trained or are run.
_IGNORED = {
    *("name", "trainable", "dtype", "module", "registered_name", "build_config", "shared_object_id", "seed"),
    *(
        "stateful",
        "return_state",
        "unroll",
        "use_cudnn",
        "implementation",
        "batch_shape",
        "batch_input_shape",
    ),
}
_IGNORED_ENDINGS = ("_initializer", "_regularizer", "_constraint")


def fingerprint(graph: Streaming) -> str:
    """Return a digest of a graph's computation, of the states that it carries, and of its weights.

    It is the same in every process and under every backend, and for layers of `uk.layers` as for Keras' own.
    """
    digest = hashlib.sha256(json.dumps(_describe(graph), sort_keys=True, default=str).encode())
    backend = backends.current()
    for variable in graph.model.weights:
        array = backend.to_numpy(variable.value)
        digest.update(f"{array.shape} {array.dtype}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _describe(graph: Streaming) -> dict[str, Any]:
    # `keras.Input` objects differ in each process; what counts is where their values go.
    inputs = [*tree.flatten(graph.inputs), *graph.state_inputs]
    known = {id(tensor): f"tensor {number}" for number, tensor in enumerate(inputs)}
    calls = []
    for node in nodes(graph.model):
        if node.is_input:
            continue
        args, kwargs = node.arguments.fill_in(known)
        arguments = str([*args, *sorted(kwargs.items())])
        calls.append([type(node.operation).__name__, _config(node.operation), arguments])
        known.update(
            {id(tensor): f"tensor {len(known) + number}" for number, tensor in enumerate(node.outputs)}
        )
    states = [[spec.name, spec.shape, spec.dtype] for spec in graph.states]
    return {
        "calls": calls,
        "states": states,
        "outputs": [known[id(out)] for out in tree.flatten(graph.outputs)],
    }


def _config(layer: Any) -> Any:
    if not isinstance(layer, keras.layers.Layer):
        return None  # an operation: its arguments say it all
    try:
        with without_tensorflow():
            config = layer.get_config()
    except NotImplementedError:  # a user's layer without one: its class and its weights count
        config = {}
    return {"dtype": layer.compute_dtype, **_keep_relevant(config)}


def _keep_relevant(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            key: _keep_relevant(inner)
            for key, inner in value.items()
            if key not in _IGNORED and not str(key).endswith(_IGNORED_ENDINGS)
        }
    return [_keep_relevant(inner) for inner in value] if isinstance(value, list | tuple) else value
