"""Conversations with a model: each session's memory is read, used and written, a turn at a time."""

from __future__ import annotations

import datetime
import os
import time
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Self

from unikeras._base.locks import NamedLocks
from unikeras._base.notebook_html import table
from unikeras._specs.state_bytes import Array, BadRow, pack_beginning, pack_rows, unpack
from unikeras._specs.states import State, flat, nested
from unikeras._specs.turns import to_numpy
from unikeras.errors import ArgumentError, ArgumentValueError, SessionError, UnknownSession
from unikeras.memory._ages import seconds
from unikeras.memory._turn_checks import (
    check_id,
    check_inputs,
    check_states,
    conflict,
    unusable,
)
from unikeras.memory._turns import turns_of
from unikeras.memory.stores.base import Row, Store
from unikeras.memory.stores.choice import store_of


class Sessions:
    """The memory of a recurrent model for each of its users, kept in a store.

    A turn reads a session's memory, runs the model on it, and writes the new memory, if nobody else wrote it
    meanwhile; else the turn is computed again. So turns of a session never mix, whichever threads, processes or
    machines take them, and what `step` returned for is written.

    Args:
        model: a Keras model; `uk.stateful(model)`; an artifact with memory from `uk.load_artifact`; or any object
            with `states`, `fingerprint`, `initial_state` and `turns` or a step. Its weights are taken to stay as
            they are: train first.
        store: the path of a SQLite file, `"memory:"` for this process' own memory, `"redis://host:port/db"`, or a
            `Store`. What is opened here is closed here.
        retries: how often a turn is computed again after others wrote its session first.

    Example:
        >>> import numpy as np, unikeras as uk
        >>> from unikeras._specs.states import StateSpec
        >>> class RunningSum:  # stands for a model: y[t] = x[0] + ... + x[t]
        ...     states = (StateSpec("sum", "total", (1,), "float32"),)
        ...     fingerprint = "5a"
        ...     sequence_outputs = (True,)
        ...     def initial_state(self, batch_size):
        ...         return {"sum": {"total": np.zeros((batch_size, 1), "float32")}}
        ...     def __call__(self, x, state):
        ...         y = np.cumsum(x, axis=1) + state["sum"]["total"][:, None]
        ...         return y, {"sum": {"total": y[:, -1]}}
        >>> x = np.ones((1, 2, 1), "float32")
        >>> with uk.memory.Sessions(RunningSum(), store="memory.db") as chats:
        ...     first = chats.step("alice", x)
        ...     both = chats.step({"alice": x, "bob": x[:, :1]})
        ...     both["alice"].ravel(), both["bob"].ravel(), sorted(chats)
        (array([3., 4.], dtype=float32), array([1.], dtype=float32), ['alice', 'bob'])
    """

    def __init__(
        self, model: Any, store: str | os.PathLike[str] | Store = "memory.db", *, retries: int = 10
    ) -> None:
        if isinstance(retries, bool) or not isinstance(retries, int) or retries < 0:
            raise ArgumentValueError(f"retries is a number of times, 0 or more; received {retries!r}")
        self._model = turns_of(model)
        self._fingerprint = self._model.fingerprint  # taken once: a digest of all weights
        self._retries = retries
        self._locks = NamedLocks()
        self._owns_store = not isinstance(store, Store)
        self.store = store_of(store)

    def step(self, session: str | Mapping[str, Any], x: Any = None) -> Any:
        """Take the next turn of a session, or of several in one batched call.

        Args:
            session: the session's id, which begins where there is none yet; or a dict `{id: x}`.
            x: what the model takes, with a batch of 1: `(1, time, features)`. Lengths may differ in one call.

        Returns:
            What the model returns, as numpy arrays with a batch of 1; for a dict, a dict by id.

        Raises:
            CorruptSession: what the store holds of a session is damaged. Nothing was computed or written.
            SessionMismatch: a session is of another model. Nothing was computed or written.
            SessionConflict: others kept writing a session first; the error has the outputs of the other sessions.
            NonFiniteError: the model's new memory has a NaN or an Inf. Nothing was written.
            StoreError: the store cannot be read or written.
            ArgumentError: `session` is a dict and `x` is given too.
        """
        if not isinstance(session, Mapping):
            return self._take_turns({check_id(session): x})[session]
        if x is not None:
            raise ArgumentError("step takes an id and x, or a dict {id: x}; received a dict and x")
        return self._take_turns(dict(session))

    def state(self, session: str) -> State:
        """Return a session's memory.

        Args:
            session: the session's id.

        Returns:
            `{layer path: {name: array}}`, numpy arrays of shape (1, ...) and of the state's dtype.

        Raises:
            UnknownSession: there is none of that id.
            CorruptSession: it is damaged.
            SessionMismatch: it is of another model.
        """
        row = self._row(session)
        state = self._unpack([session], {session: row})[0]
        if state is None:
            beginning = flat(self._model.states, self._model.initial_state(1))
            state = [to_numpy(value) for value in beginning]
        return nested(self._model.states, state)

    def reset(self, *sessions: str) -> None:
        """Let sessions begin anew; they stay in the store. Unknown ids are ignored.

        Args:
            *sessions: the sessions' ids.
        """
        left = [check_id(session) for session in sessions]
        self._locks.run(left, lambda: self._reset(left))

    def fork(self, session: str, new: str) -> None:
        """Begin a new session with a copy of another one's memory.

        Args:
            session: the id of the session to copy.
            new: the id of the new session.

        Raises:
            UnknownSession: there is no session of that id.
            ArgumentValueError: the new one exists already.
            CorruptSession: the memory is damaged.
            SessionMismatch: it is of another model.
        """
        check_id(new)
        row = self._row(session)
        self._unpack([session], {session: row})
        if not self.store.write({new: (0, row.blob)}):
            raise ArgumentValueError(
                f"session {new!r:.100} exists already; forget it first, or take another id"
            )

    def forget(self, *sessions: str) -> None:
        """Delete sessions for good. Unknown ids are ignored.

        Args:
            *sessions: the sessions' ids.
        """
        self.store.delete([check_id(session) for session in sessions])

    def expire(self, older_than: str | float | datetime.timedelta) -> int:
        """Delete the sessions whose last turn is older than an age.

        Args:
            older_than: such as `"30d"` (s, m, h, d, w), a `timedelta`, or seconds.

        Returns:
            How many were deleted.
        """
        return self.store.expire(time.time() - seconds(older_than))

    def close(self) -> None:
        """Close the store, where it was opened here."""
        if self._owns_store:
            self.store.close()

    def __iter__(self) -> Iterator[str]:
        return self.store.ids()

    def __len__(self) -> int:
        return len(self.store)

    def _repr_html_(self) -> str:
        where = f"{type(self.store).__name__} {getattr(self.store, 'path', '')}".strip()
        rows = [("store", where), ("model", self._fingerprint[:12])]
        states = [(f"{spec.layer}/{spec.name}", f"{spec.dtype} {spec.shape}") for spec in self._model.states]
        return table("sessions, which carry for each id", [*rows, *states])

    def __contains__(self, session: object) -> bool:
        return session in self.store

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take_turns(self, inputs: dict[str, Any]) -> dict[str, Any]:
        check_inputs(inputs)
        outputs: dict[str, Any] = {}
        self._locks.run(inputs, lambda: self._try_turns(inputs, outputs))
        lost = [session for session in inputs if session not in outputs]
        if lost:
            raise conflict(lost, self._retries + 1, outputs)
        return {session: outputs[session] for session in inputs}

    def _try_turns(self, inputs: dict[str, Any], outputs: dict[str, Any]) -> None:
        for _ in range(self._retries + 1):
            left = {one: x for one, x in inputs.items() if one not in outputs}
            if not left:
                return
            try:
                outputs |= self._attempt(left)
            except Exception as error:
                _tell_of(outputs, error)
                raise

    def _reset(self, left: Collection[str]) -> None:
        while left:  # a reset has nothing to compute again, so it comes through in the end
            rows = self.store.read(left)
            written = self.store.write({one: (row.version, pack_beginning()) for one, row in rows.items()})
            left = rows.keys() - written.keys()

    def _attempt(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Take a turn of each session, and return the outputs of those whose memory could be written."""
        sessions = list(inputs)
        rows = self.store.read(sessions)
        states = self._unpack(sessions, rows)
        outputs, new = self._model.turns(list(inputs.values()), states)
        blobs = self._pack(sessions, new)
        versions = {session: rows[session].version if session in rows else 0 for session in sessions}
        written = self.store.write({session: (versions[session], blobs[session]) for session in sessions})
        return {
            session: output for session, output in zip(sessions, outputs, strict=True) if session in written
        }

    def _row(self, session: str) -> Row:
        rows = self.store.read([check_id(session)])
        if session not in rows:
            raise UnknownSession(f"there is no session {session!r:.100}", {session: "unknown"})
        return rows[session]

    def _unpack(self, sessions: list[str], rows: Mapping[str, Row]) -> list[list[Array] | None]:
        """Return the state of each session, None for one that begins; name all that cannot be used."""
        states: list[list[Array] | None] = []
        bad: dict[str, BadRow] = {}
        for session in sessions:
            try:
                row = rows.get(session)
                states.append(
                    None if row is None else unpack(self._model.states, self._fingerprint, row.blob)
                )
            except BadRow as error:
                bad[session] = error
        if bad:
            raise unusable(bad)
        return states

    def _pack(self, sessions: list[str], new: list[list[Array]]) -> dict[str, bytes]:
        """Return the rows to write; a state that could not be read back is refused before any is written."""
        specs = self._model.states
        states = check_states(specs, sessions, new)
        return dict(zip(sessions, pack_rows(specs, self._fingerprint, states), strict=True))


def _tell_of(outputs: Mapping[str, Any], error: Exception) -> None:
    """Let an error say which sessions had their turn before it; they must not take it twice."""
    if isinstance(error, SessionError):
        error.outputs = dict(outputs)
    if outputs:
        error.add_note(f"these sessions of the call have had their turn: {', '.join(map(repr, outputs))}")
