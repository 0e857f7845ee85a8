"""Turns of several sessions in one call of a model: padded to one length, and masked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import tree

from unikeras import backends
from unikeras.errors import SignatureError
from unikeras.functions import Function
from unikeras.streaming._streaming_graph import Streaming, streaming

Array = np.ndarray[Any, Any]


class PaddedTurns:
    """Runs chunks of different lengths as one batch, each as if it ran alone.

    A chunk that is shorter than the batch repeats its last step, and a mask tells recurrent layers to let
    that pass: they repeat their last output. So each tensor on the way repeats its last step too, and what
    takes the last step alone takes the right one. Lengths and batch sizes are rounded up to powers of two,
    so that a backend that compiles for each size compiles few programs.

    Args:
        model: the model.
        graph: it with state, for turns that need no padding.
        sequence_inputs: for each input, whether it has time.
        sequence_outputs: for each output, likewise.
    """

    def __init__(
        self, model: Any, graph: Streaming, sequence_inputs: Sequence[bool], sequence_outputs: Sequence[bool]
    ) -> None:
        self._graph = graph
        self._timed = sequence_inputs
        self._timed_outputs = sequence_outputs
        self._whole = Function(graph.run, warns=False)
        self._padded = Function(streaming(model, padded=True).run, warns=False)

    def __call__(
        self, inputs: Sequence[Sequence[Any]], states: Sequence[Sequence[Array]]
    ) -> tuple[list[Any], list[list[Array]]]:
        """Return the outputs and the states of each session.

        Args:
            inputs: by session, its inputs, flat, each of a batch of 1.
            states: by session, its states, flat, likewise.
        """
        chunks = [[_numpy(leaf) for leaf in leaves] for leaves in inputs]
        lengths = [self._length(leaves) for leaves in chunks]
        size, longest = _round_up(len(chunks)), _round_up(max(lengths))
        x = _stack([self._to_length(leaves, longest) for leaves in chunks], size)
        state = _stack([[_numpy(part) for part in state] for state in states], size)
        if min(lengths) == longest:
            y, after = self._whole(x, state)
        else:
            counts = [[np.arange(longest)[None] < length] for length in lengths]
            y, after = self._padded(x, state, steps=_stack(counts, size)[0])
        to_numpy = backends.current().to_numpy
        leaves, after = list(map(to_numpy, tree.flatten(y))), list(map(to_numpy, after))
        outputs = [self._output(leaves, number, length) for number, length in enumerate(lengths)]
        return outputs, [[part[number : number + 1] for part in after] for number in range(len(chunks))]

    def _length(self, leaves: Sequence[Array]) -> int:
        """Return how many steps a session's inputs have."""
        names = self._graph.x_names
        if wrong := [
            f"{name} of shape {leaf.shape}"
            for name, leaf in zip(names, leaves, strict=True)
            if leaf.shape[:1] != (1,)
        ]:
            raise SignatureError(f"a session takes a batch of 1; received {', '.join(wrong)}")
        lengths = {leaf.shape[1] for leaf, timed in zip(leaves, self._timed, strict=True) if timed}
        if len(lengths) != 1 or 0 in lengths:
            raise SignatureError(f"a turn has one length, of one step or more; received {sorted(lengths)}")
        return lengths.pop()

    def _to_length(self, leaves: Sequence[Array], length: int) -> list[Array]:
        """Repeat the last step up to a length."""
        return [
            np.concatenate([leaf, np.repeat(leaf[:, -1:], length - leaf.shape[1], 1)], 1) if timed else leaf
            for leaf, timed in zip(leaves, self._timed, strict=True)
        ]

    def _output(self, leaves: Sequence[Array], number: int, length: int) -> Any:
        own = [
            leaf[number : number + 1, :length] if timed else leaf[number : number + 1]
            for leaf, timed in zip(leaves, self._timed_outputs, strict=True)
        ]
        return tree.pack_sequence_as(self._graph.outputs, own)


def _round_up(size: int) -> int:
    return 1 << (size - 1).bit_length()


def _stack(parts: Sequence[Sequence[Array]], size: int) -> list[Array]:
    """Return the parts as one batch of this size, the last part repeated."""
    filled = [*parts, *[parts[-1]] * (size - len(parts))]
    return [np.concatenate(column) for column in zip(*filled, strict=True)]


def _numpy(value: Any) -> Array:
    if isinstance(value, np.ndarray):  # as a session's state is
        return value
    backend = backends.current()
    return backend.to_numpy(value) if backend.is_tensor(value) else np.asarray(value)
