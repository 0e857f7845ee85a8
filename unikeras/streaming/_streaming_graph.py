"""A model's graph with the state of its recurrent layers as inputs and outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
from keras import layers, tree

from unikeras._base.text import brief
from unikeras._keras.graph import graph_of, is_graph, renamed, replay
from unikeras._keras.shared_cell import sharing
from unikeras._keras.time_distributed import time_joins_batch
from unikeras._specs.signature import unique
from unikeras._specs.states import StateSpec
from unikeras.layers import FUSED
from unikeras.streaming._carried_output import Carried
from unikeras.streaming._refusal import refusal

# The input that says which steps of a padded chunk count.
STEPS = "steps"

# In these a state is the output of the step before, which a masked step repeats.
_OUTPUT_IS_STATE = (layers.LSTMCell, layers.GRUCell, layers.SimpleRNNCell)


@dataclass
class Streaming:
    """A graph that takes and returns its state.

    Attributes:
        inputs: the model's own, in its structure, of any batch size and any length.
        outputs: the model's own, in its structure.
        states: what its recurrent layers carry.
        state_inputs: a Keras tensor for each of them.
        state_outputs: likewise.
        recurrent: the recurrent layers, by path.
        paths: what each layer is called in the model, by id.
        steps: the input that says which steps count; None where all of them do.
        model: all of it as a functional model of named inputs and outputs.
    """

    inputs: Any
    outputs: Any = None
    states: list[StateSpec] = field(default_factory=list)
    state_inputs: list[Any] = field(default_factory=list)
    state_outputs: list[Any] = field(default_factory=list)
    recurrent: dict[str, Any] = field(default_factory=dict)
    paths: dict[int, str] = field(default_factory=dict)
    steps: Any = None
    model: Any = None

    @property
    def takes_padding(self) -> bool:
        """Whether masked steps repeat what was before them, in all recurrent layers.

        Not where they give zeros, and not in ConvLSTM, whose mask Keras lets meet the wrong axes on JAX.
        """
        zeroes = any(layer.zero_output_for_mask for layer in self.recurrent.values())
        return not zeroes and all(len(spec.shape) == 1 for spec in self.states)

    def path(self, layer: Any) -> str:
        """Return what a layer, or an operation, is called in the model."""
        return self.paths.get(id(layer), layer.name)

    @property
    def x_names(self) -> list[str]:
        """The names of the model's own inputs, in the order of `keras.tree`."""
        return [tensor.name for tensor in tree.flatten(self.inputs)]

    @property
    def y_names(self) -> list[str]:
        """The names of the model's own outputs, likewise."""
        return _leaf_names(self.outputs, "y")

    @property
    def input_names(self) -> list[str]:
        """The names of all inputs."""
        states = [spec.input_name for spec in self.states]
        return [*self.x_names, *states, *([] if self.steps is None else [STEPS])]

    @property
    def output_names(self) -> list[str]:
        """The names of all outputs."""
        return [*self.y_names, *(spec.output_name for spec in self.states)]

    def run(
        self, inputs: Any, state: Any, training: bool = False, steps: Any = None
    ) -> tuple[Any, list[Any]]:
        """Return what the model returns, and its state afterwards, flat."""
        values = [*inputs, *state, *([] if steps is None else [steps])]
        with time_joins_batch():  # TensorFlow leaves time open where the lengths of chunks vary
            results = self.model(dict(zip(self.input_names, values, strict=True)), training=training)
        y = [results[name] for name in self.y_names]
        return tree.pack_sequence_as(self.outputs, y), [results[spec.output_name] for spec in self.states]


def streaming(model: Any, padded: bool = False) -> Streaming:
    """Return the graph of a functional model, with state; layers and weights are the model's own.

    Args:
        model: a built functional or Sequential model.
        padded: take an input that says which steps count.

    Raises:
        CannotStream: a layer cannot be fed in chunks; the message names it.
    """
    writer = _Writer(Streaming(_free_inputs(model)))
    if padded:
        writer.graph.steps = _input(STEPS, (None, None), "bool", STEPS)
    writer.graph.outputs = writer.follow(graph_of(model), writer.graph.inputs, "")
    writer.graph.model = _as_model(writer.graph, model.name)
    return writer.graph


def _as_model(graph: Streaming, name: str) -> Any:
    inputs = [
        *tree.flatten(graph.inputs),
        *graph.state_inputs,
        *([] if graph.steps is None else [graph.steps]),
    ]
    outputs = [*tree.flatten(graph.outputs), *graph.state_outputs]
    named_inputs = dict(zip(graph.input_names, inputs, strict=True))
    return keras.Model(named_inputs, dict(zip(graph.output_names, outputs, strict=True)), name=name)


def _free_inputs(model: Any) -> Any:
    """Return new inputs of any batch size and any number of steps, in the structure of the model's own."""
    graph: Any = graph_of(model)
    structure = graph._inputs_struct
    tensors = tree.flatten(structure)
    lengths = {tensor.shape[1] for tensor in tensors if len(tensor.shape) > 1} & {None}
    # Where no length is open, time is the axis that is as long as what recurrent layers read.
    lengths = lengths or {layer.input.shape[1] for layer in _recurrent_layers(model)}
    names = _leaf_names(structure, "x")
    freed = [
        _free_input(name, tensor, len(tensor.shape) > 1 and tensor.shape[1] in lengths)
        for name, tensor in zip(names, tensors, strict=True)
    ]
    return tree.pack_sequence_as(structure, freed)


def _recurrent_layers(model: Any) -> list[Any]:
    return [layer for layer in model._flatten_layers() if isinstance(layer, layers.RNN)]


def _free_input(name: str, tensor: Any, has_time: bool) -> Any:
    shape = (None, None, *tensor.shape[2:]) if has_time else (None, *tensor.shape[1:])
    return _input(name, shape, tensor.dtype, tensor._keras_history.operation.name)


def _input(name: str, shape: Sequence[int | None], dtype: str, layer_name: str) -> Any:
    """Return an input whose tensor has a name that Keras forbids its layer: one with slashes."""
    return keras.Input(tensor=keras.KerasTensor(shape, dtype, name=name), name=layer_name)


class _Writer:
    """Follows a model's graph call by call, and writes the streaming one."""

    def __init__(self, graph: Streaming) -> None:
        self.graph = graph
        # By id: a layer, and itself or its double under another name. The layer is held, so that the id stays its own.
        self._own: dict[int, tuple[Any, Any]] = {}

    def follow(self, graph: Any, inputs: Any, path: str) -> Any:
        """Return the outputs of a model on these inputs."""

        def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
            return self.call(f"{path}{layer.name}", layer, args, kwargs)

        return replay(graph, inputs, call)

    def call(self, path: str, layer: Any, args: Any, kwargs: Any) -> Any:
        """Return what a layer gives, called with state if it is one that has any."""
        if is_graph(layer):
            return self.follow(graph_of(layer), args[0], f"{path}/")
        if isinstance(layer, layers.Bidirectional):
            raise refusal(path, layer, "reads its input from both ends")
        if isinstance(layer, layers.RNN):
            return self.recurrent(path, layer, args, kwargs)
        return self.record(path, layer, args, kwargs)

    def record(self, path: str, layer: Any, args: Any, kwargs: Any) -> Any:
        """Call a layer and note the call."""
        layer = self._with_own_name(layer)
        try:
            outputs = layer(*args, **kwargs)
        except Exception as error:  # whatever a layer raises that was built for one length alone
            raise refusal(path, layer, f"does not take a chunk of any length ({brief(error)})") from error
        self.graph.paths[id(layer)] = path
        return outputs

    def recurrent(self, path: str, layer: Any, args: Any, kwargs: Any) -> Any:
        """Call a recurrent layer on its state, and note what it carries on."""
        if layer.go_backwards:
            raise refusal(path, layer, "reads its input from the end (go_backwards=True)")
        if len(args) > 1 or kwargs.get("initial_state") is not None:
            raise refusal(path, layer, "is given an initial state by the model, at each chunk anew")
        path = unique([*self.graph.recurrent, path])[-1]
        shared = sharing(layer, FUSED.get(type(layer)), return_state=True, stateful=False)
        before = self._add_states(path, shared, args[0])
        # A nested model's own graph knows no mask; its tensors do when it runs.
        own = kwargs.get("mask", None)
        own = getattr(args[0], "_keras_mask", None) if own is None else next(iter(tree.flatten(own)))
        mask = self._and_steps(own)
        options = {**kwargs, "mask": mask, "initial_state": before}
        outputs, *after = self.record(path, shared, args, options)
        self.graph.state_outputs += tree.flatten(after)
        # Padding has no part in this: it comes after the unmasked steps.
        if own is not None and not layer.zero_output_for_mask:
            if not isinstance(layer.cell, _OUTPUT_IS_STATE):
                raise refusal(path, layer, "has a mask, and a cell whose last output no state holds")
            carried = Carried(name=f"{layer.name}_carried", dtype=layer.dtype_policy)
            outputs = self.record(f"{path}_carried", carried, (outputs, mask, tree.flatten(before)[0]), {})
        return (outputs, *after) if layer.return_state else outputs

    def _add_states(self, path: str, layer: Any, x: Any) -> Any:
        """Return inputs for what a layer carries, in the layer's structure."""
        _, *shapes = layer.compute_output_shape(x.shape)
        names = state_names(layer.cell)
        flat = _shapes(shapes)
        inputs = []
        for name, shape in zip(names, flat, strict=True):
            spec = StateSpec(path, name, tuple(shape[1:]), layer.compute_dtype)
            name = spec.input_name
            inputs.append(_input(name, (None, *spec.shape), spec.dtype, name.replace("/", "_")))
            self.graph.states.append(spec)
        self.graph.state_inputs += inputs
        self.graph.recurrent[path] = layer
        return _as_nested(shapes, iter(inputs))

    def _and_steps(self, mask: Any) -> Any:
        if self.graph.steps is None or mask is None:
            return mask if self.graph.steps is None else self.graph.steps
        return keras.ops.logical_and(mask, self.graph.steps)

    def _with_own_name(self, layer: Any) -> Any:
        """Return the layer, or it under another name where a layer of another nested model has that one."""
        if id(layer) not in self._own:
            taken = [tensor._keras_history.operation.name for tensor in self._inputs()]
            taken += [known.name for _, known in self._own.values()]
            name = unique([*taken, layer.name])[-1]
            self._own[id(layer)] = (layer, layer if name == layer.name else renamed(layer, name))
        return self._own[id(layer)][1]

    def _inputs(self) -> list[Any]:
        steps = [] if self.graph.steps is None else [self.graph.steps]
        return [*tree.flatten(self.graph.inputs), *self.graph.state_inputs, *steps]


def state_names(cell: Any) -> list[str]:
    """Return what the states of a cell are called, in order."""
    if isinstance(cell, layers.StackedRNNCells):
        return [f"{number}/{name}" for number, one in enumerate(cell.cells) for name in state_names(one)]
    if isinstance(cell, layers.LSTMCell) or type(cell).__name__ == "ConvLSTMCell":
        return ["h", "c"]
    count = 1 if isinstance(cell.state_size, int) else len(cell.state_size)
    return ["h"] if count == 1 else [str(number) for number in range(count)]


def _is_shape(value: Any) -> bool:
    return all(isinstance(size, int | None) for size in value)


def _shapes(value: Any) -> list[Any]:
    return [value] if _is_shape(value) else [shape for part in value for shape in _shapes(part)]


def _as_nested(shapes: Any, leaves: Any) -> Any:
    return [next(leaves) if _is_shape(shape) else _as_nested(shape, leaves) for shape in shapes]


def _leaf_names(structure: Any, alone: str) -> list[str]:
    """Return names for the leaves of a structure, as it has them, or as its operations are called."""
    leaves = tree.flatten(structure)
    if len(leaves) == 1 and not isinstance(structure, dict):
        return [alone]
    if isinstance(structure, dict) and len(structure) == len(leaves):
        return sorted(structure)
    return unique(tensor._keras_history.operation.name for tensor in leaves)
