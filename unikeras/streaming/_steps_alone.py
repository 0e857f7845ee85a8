"""Does a layer treat each step by itself, however far apart the steps are?

Short chunks show what looks a few steps back. What may look further (a dilated convolution, code of one's own) is run
here by itself: over many steps at once, and over each of them alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from unikeras import backends
from unikeras._base.text import brief
from unikeras._keras.graph import nodes, set_mask
from unikeras.errors import CannotStream
from unikeras.functions import Function
from unikeras.streaming._carried_output import Carried
from unikeras.streaming._closeness import is_close
from unikeras.streaming._reach import UNKNOWN, reach
from unikeras.streaming._refusal import refusal
from unikeras.streaming._streaming_graph import Streaming

# Over this many steps short chunks are enough.
_SEEN = 2
# Rows beside those of the graph's own values: what a layer does past a threshold shows on large ones.
_SCALES = (1.0, 30.0, 1000.0)
# Numbers of an input beyond which no more steps are taken for what is not known to look that far.
_LARGE = 4_000_000


class _TooLongError(Exception):
    """A layer does not take as many steps, or not these values."""


def check_alone(graph: Streaming, values: dict[int, Any], masks: dict[int, Any], sequences: set[int]) -> None:
    """Refuse a graph in which a layer mixes steps that are far apart.

    Args:
        graph: the model with state.
        values: what each tensor of the graph is in a short run, by id.
        masks: the masks of those that have one.
        sequences: the ids of those that have time.

    Raises:
        CannotStream: it names the first such layer.
    """
    seen: set[int] = set()
    for node in nodes(graph.model):
        operation = node.operation
        if node.is_input or isinstance(operation, keras.layers.RNN | Carried):
            continue
        tensors = list({id(tensor): tensor for tensor in node.input_tensors}.values())
        span = reach(operation, node.arguments.args, node.arguments.kwargs)
        if span > _SEEN and any(id(tensor) in sequences for tensor in tensors) and id(node) not in seen:
            seen.add(id(node))
            _Alone(graph, node, tensors, values, masks, sequences).check(span)


class _Alone:
    """One call of a layer."""

    def __init__(
        self,
        graph: Streaming,
        node: Any,
        tensors: list[Any],
        values: dict[int, Any],
        masks: dict[int, Any],
        sequences: set[int],
    ) -> None:
        self._graph = graph
        self._node = node
        self._tensors = tensors
        self._values = values
        self._masks = masks
        self._sequences = sequences
        variables = node.operation.variables if isinstance(node.operation, keras.layers.Layer) else []
        self._variables = [variable for variable in variables if "float" in variable.dtype]

    def check(self, span: int) -> None:
        """Compare over more steps than the layer may look back; over fewer where it does not take as many."""
        for length in self._lengths(span):
            for scales in (_SCALES, ()):
                try:
                    return self._compare(length, scales)
                except _TooLongError:
                    continue
        return None

    def _lengths(self, span: int) -> Iterator[int]:
        size = max(int(np.prod(self._values[id(tensor)].shape[2:])) for tensor in self._tensors)
        length = min(span + 3, max(UNKNOWN, _LARGE // max(1, size * (2 + len(_SCALES)))))
        while length > 5:
            yield length
            length = length * 3 // 4

    def _compare(self, length: int, scales: tuple[float, ...]) -> None:
        run = Function(self._run, warns=False)
        for seed, weights in enumerate(self._weights()):
            inputs, masks, output_masks = self._draw(length, scales, seed)
            try:
                whole, alone = run(weights, inputs, masks)
            except CannotStream:
                raise
            except Exception as error:  # a layer may raise anything
                raise _TooLongError from error
            pairs = zip(whole, alone, output_masks, strict=True)
            for one, other, mask in pairs:
                one, other = _numpy(one), _numpy(other)
                if not is_close(one, _join(one, other, length), mask):
                    raise self._refusal("uses steps of other chunks, or chance")

    def _run(self, weights: Any, inputs: Any, masks: Any) -> tuple[list[Any], list[Any]]:
        """Return the layer's outputs for all steps at once, and for each alone."""
        mapping = [
            (variable, keras.ops.convert_to_tensor(value, variable.dtype))
            for variable, value in zip(self._variables, weights, strict=True)
        ]
        with keras.StatelessScope(state_mapping=mapping):
            whole = self._call(inputs, masks)
            try:
                alone = self._call(*self._each_alone(inputs, masks))
            except Exception as error:  # as above
                raise self._refusal(f"does not take a chunk of any length ({brief(error)})") from error
        return whole, alone

    def _call(self, inputs: Any, masks: Any) -> list[Any]:
        values = {}
        for number, tensor in enumerate(self._tensors):
            value = keras.ops.convert_to_tensor(inputs[number], tensor.dtype)
            if str(number) in masks:
                set_mask(value, keras.ops.convert_to_tensor(masks[str(number)], "bool"))
            values[id(tensor)] = value
        args, kwargs = self._node.arguments.fill_in(values)
        return list(keras.tree.flatten(self._node.operation(*args, **kwargs)))

    def _each_alone(self, inputs: Any, masks: Any) -> tuple[list[Any], dict[str, Any]]:
        """Return inputs and masks with the steps as a batch, each of a sequence of one step."""
        timed = [id(tensor) in self._sequences for tensor in self._tensors]
        length = next(x.shape[1] for x, has_time in zip(inputs, timed, strict=True) if has_time)
        rows = next(x.shape[0] for x, has_time in zip(inputs, timed, strict=True) if has_time)

        def alone(x: Any, has_time: bool) -> Any:
            if has_time:
                return keras.ops.reshape(x, (rows * length, 1, *x.shape[2:]))
            return keras.ops.repeat(x, length, axis=0) if x.shape[:1] == (rows,) else x

        steps = [alone(x, has_time) for x, has_time in zip(inputs, timed, strict=True)]
        return steps, {key: alone(mask, timed[int(key)]) for key, mask in masks.items()}

    def _weights(self) -> Iterator[list[Any]]:
        """Yield random weights, these with the other sign, and the layer's own."""
        rng = np.random.default_rng(1)
        drawn = [random_values(rng, variable) for variable in self._variables]
        yield drawn
        yield [-value if v.trainable else value for v, value in zip(self._variables, drawn, strict=True)]
        yield [_numpy(variable.value) for variable in self._variables]

    def _draw(
        self, length: int, scales: tuple[float, ...], seed: int
    ) -> tuple[list[Any], dict[str, Any], list[Any]]:
        """Return inputs of so many steps, their masks by number, and the masks of the outputs."""
        rng = np.random.default_rng([2, seed])
        known = next(self._values[id(tensor)] for tensor in self._tensors if id(tensor) in self._sequences)
        steps, batch = rng.integers(0, known.shape[1], length), known.shape[0]
        rows = np.arange(batch + len(scales)) % batch

        def draw(value: Any, has_time: bool) -> Any:
            value = value[rows] if value.shape[:1] == (batch,) else value
            return value[:, steps] if has_time else value

        inputs = []
        for tensor in self._tensors:
            value = draw(self._values[id(tensor)], id(tensor) in self._sequences)
            if id(tensor) in self._sequences and "float" in tensor.dtype:
                value = value.astype("float32")
                for row, scale in enumerate(scales):
                    value[batch + row] = scale * rng.normal(size=value.shape[1:])
            inputs.append(value)
        masks = {
            str(number): draw(self._masks[id(tensor)], id(tensor) in self._sequences)
            for number, tensor in enumerate(self._tensors)
            if id(tensor) in self._masks
        }
        outputs = [self._masks.get(id(output)) for output in self._node.outputs]
        timed = [id(output) in self._sequences for output in self._node.outputs]
        output_masks = [
            None if mask is None else draw(mask, has_time)
            for mask, has_time in zip(outputs, timed, strict=True)
        ]
        return inputs, masks, output_masks

    def _refusal(self, reason: str) -> CannotStream:
        operation = self._node.operation
        return refusal(self._graph.path(operation), operation, reason)


def _join(whole: Any, alone: Any, length: int) -> Any:
    """Return outputs of single steps in the form of those of all steps: as a sequence, or the last step's."""
    if not whole.ndim or alone.shape[:1] != (whole.shape[0] * length,):
        return alone
    steps = alone.reshape(whole.shape[0], length, *alone.shape[1:])
    return steps[:, :, 0] if whole.shape[1:2] == (length,) and alone.shape[1:2] == (1,) else steps[:, -1]


def random_values(rng: np.random.Generator, variable: Any) -> Any:
    """Return values that a variable could have after training."""
    values = rng.normal(size=variable.shape)
    if not variable.trainable:
        return np.abs(values) + 0.1  # variances are among them
    fan_in = int(np.prod(variable.shape[:-1])) or 1
    return values * max(0.05, fan_in**-0.5)


def _numpy(tensor: Any) -> Any:
    return backends.current().to_numpy(tensor)
