"""Turns of several sessions, computed in few calls of whatever has states: a model, a step, an artifact."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from unikeras._specs.states import State, StateSpec, check_flat, flat, nested
from unikeras._specs.structure import leaves_as, put_together, take_apart
from unikeras.errors import ArgumentValueError, StateError

Array = np.ndarray[Any, Any]


@runtime_checkable
class Turns(Protocol):
    """A model that takes the turns of several sessions.

    Attributes:
        states: its states, in the order in which they travel.
        fingerprint: what tells it from a model that cannot use its states; hex digits.
    """

    states: tuple[StateSpec, ...]
    fingerprint: str

    def initial_state(self, batch_size: int) -> State:
        """Return the state with which a session begins."""

    def turns(
        self, inputs: list[Any], states: list[list[Array] | None]
    ) -> tuple[list[Any], list[list[Array]]]:
        """Return the output and the state of each session.

        Args:
            inputs: by session, what the model takes: an array `(1, time, ...)`, or a structure of such.
            states: by session, arrays of shape `(1, *spec.shape)`; None for a session that begins.
        """


class SplitTurns:
    """Takes turns of different lengths in one set of batched calls, without padding.

    All sessions run together up to the end of the shortest, the others go on from there, and so on. That is
    exact, as the state after two calls is that after one call with the steps of both.

    Args:
        model: has `states`, `fingerprint`, `initial_state(batch_size)`, and, in the order of the leaves, whether
            each output has a time axis (`sequence_outputs`; one bool for each), and, where not all of them have
            one, each input (`sequence_inputs`). Where it has `flatten_inputs`, inputs pass through that, and
            `step` is given the list that it returns.
        step: `(x, state) -> (y, state)`, with `state` as `initial_state` returns it.
    """

    def __init__(self, model: Any, step: Callable[[Any, State], tuple[Any, State]]) -> None:
        self.states: tuple[StateSpec, ...] = tuple(model.states)
        self.fingerprint: str = model.fingerprint
        self._model = model
        self._step = step

    def initial_state(self, batch_size: int) -> State:
        """Return the state with which sessions begin."""
        values = flat(self.states, self._model.initial_state(batch_size))
        return nested(self.states, [to_numpy(value) for value in values])

    def turns(
        self, inputs: list[Any], states: list[list[Array] | None]
    ) -> tuple[list[Any], list[list[Array]]]:
        """Return the output and the state of each session; see `Turns`."""
        structure, leaves = self._take_apart(inputs)
        lengths = self._lengths(leaves)
        batch = self._batch(states)
        new: list[list[Array]] = [[] for _ in inputs]
        pieces: list[list[list[Array]]] = [[] for _ in inputs]
        active, start, results = list(range(len(inputs))), 0, None
        for stop in sorted(set(lengths)):
            x = put_together(structure, self._chunk([leaves[number] for number in active], start, stop))
            y, state = self._step(x, nested(self.states, batch))
            results, parts = take_apart(y)
            batch = [to_numpy(value) for value in flat(self.states, state, len(active))]
            parts = [to_numpy(part) for part in parts]
            for place, number in enumerate(active):
                pieces[number].append([part[place : place + 1] for part in parts])
                new[number] = [array[place : place + 1] for array in batch]
            kept = [place for place, number in enumerate(active) if lengths[number] > stop]
            active, start = [active[place] for place in kept], stop
            batch = [array[kept] for array in batch]
        return [put_together(results, self._join(one)) for one in pieces], new

    def _take_apart(self, inputs: list[Any]) -> tuple[Any, list[list[Array]]]:
        """Return the structure of the first session's inputs, and the leaves of each in its order."""
        flatten = getattr(self._model, "flatten_inputs", lambda x: x)
        values = [flatten(x) for x in inputs]
        structure, _ = take_apart(values[0])
        try:
            leaves = [[to_numpy(leaf) for leaf in leaves_as(structure, value)] for value in values]
        except ValueError as error:
            raise ArgumentValueError(
                f"the sessions of one call need inputs of one structure: {error}"
            ) from error
        shapes = [
            [(leaf.shape[2:] if timed else leaf.shape[1:]) for leaf, timed in self._with_time(one)]
            for one in leaves
        ]
        if any(shape != shapes[0] for shape in shapes):
            raise ArgumentValueError(
                f"the sessions of one call need inputs of one shape, time aside; received {shapes}"
            )
        return structure, leaves

    def _with_time(self, leaves: Sequence[Array]) -> list[tuple[Array, bool]]:
        timed = getattr(self._model, "sequence_inputs", None) or (True,) * len(leaves)
        if len(timed) != len(leaves):
            raise ArgumentValueError(f"the model has {len(timed)} inputs; received {len(leaves)}")
        return list(zip(leaves, timed, strict=True))

    def _lengths(self, leaves: list[list[Array]]) -> list[int]:
        found = [{leaf.shape[1] for leaf, timed in self._with_time(one) if timed} for one in leaves]
        wrong = [sorted(lengths) for lengths in found if len(lengths) != 1 or lengths == {0}]
        if wrong:
            raise ArgumentValueError(f"a turn has one length, of at least one step; received {wrong}")
        return [lengths.pop() for lengths in found]

    def _batch(self, states: list[list[Array] | None]) -> list[Array]:
        begin = flat(self.states, self.initial_state(1)) if None in states else []
        filled = [begin if state is None else check_flat(self.states, state, 1) for state in states]
        return [np.concatenate(parts) for parts in zip(*filled, strict=True)]

    def _chunk(self, leaves: list[list[Array]], start: int, stop: int) -> list[Array]:
        cut = [
            [leaf[:, start:stop] if timed else leaf for leaf, timed in self._with_time(one)] for one in leaves
        ]
        return [np.concatenate(parts) for parts in zip(*cut, strict=True)]

    def _join(self, pieces: list[list[Array]]) -> list[Array]:
        timed = tuple(self._model.sequence_outputs)
        if len(timed) != len(pieces[0]):
            raise StateError(
                f"the model has {len(pieces[0])} outputs, and sequence_outputs tells of {len(timed)}"
            )
        return [
            np.concatenate(parts, axis=1) if sequence else parts[-1]
            for parts, sequence in zip(zip(*pieces, strict=True), timed, strict=True)
        ]


def to_numpy(value: Any) -> Array:
    """Return an array or a tensor of the backend in use as numpy's."""
    keras = sys.modules.get("keras")
    if keras is None or isinstance(value, np.ndarray):
        return np.asarray(value)
    return np.asarray(keras.ops.convert_to_numpy(value))
