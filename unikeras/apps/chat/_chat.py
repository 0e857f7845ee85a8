"""Conversations: what the user says, the model's reply, and the state after both."""

from __future__ import annotations

import os
from typing import Any, Self

from unikeras.apps.chat._bytes import answered, said, shown, tokens
from unikeras.apps.chat._convention import check, step_of, to_numpy
from unikeras.apps.chat._sampling import Sampler
from unikeras.errors import ArgumentValueError
from unikeras.memory import Sessions, Store

LENGTH = 200
CHUNK_SIZES = (256, 64, 16, 4, 1)


class Chat:
    """Conversations with a byte-level recurrent model, each remembered in a store.

    A line and its reply are one turn of the session: the state includes both or, if the process is killed in
    between, neither. No text is stored, only the model's state.

    Args:
        model: takes bytes, `(batch, time)` integers, and returns logits, `(batch, time, classes)` with at most 256
            classes: a Keras model, `uk.stateful(model)`, or an artifact with states.
        store: as for `uk.memory.Sessions`.
        temperature: 0 for the likeliest reply; higher values give more varied replies.
        seed: sampling seed; None for nondeterministic sampling.
        length: the maximum number of bytes in a reply.

    Attributes:
        sessions: the `uk.memory.Sessions`, to fork, reset and forget.

    Raises:
        ArgumentError: the model has no step.
        ArgumentValueError: the model takes or returns something else, or a number is out of range.

    Example:
        >>> import keras
        >>> from unikeras.apps.chat import Chat, byte_model
        >>> with Chat(byte_model(units=8), store="memory:", length=5) as chat:
        ...     reply = chat.say("alice", "hello")
        ...     len(reply) <= 5, list(chat.sessions)
        (True, ['alice'])
    """

    def __init__(
        self,
        model: Any,
        store: str | os.PathLike[str] | Store = "memory.db",
        *,
        temperature: float = 0.0,
        seed: int | None = None,
        length: int = LENGTH,
    ) -> None:
        if isinstance(length, bool) or not isinstance(length, int) or length < 1:
            raise ArgumentValueError(f"length is a number of bytes, 1 or more; received {length!r}")
        self._sampler = Sampler(temperature, seed)
        self._length = length
        model = check(model)
        self._step = step_of(model)
        self._initial_state = model.initial_state
        self.sessions = Sessions(model, store)

    def say(self, session: str, line: str) -> str:
        """Say something and return the reply.

        Args:
            session: the session's id; an unknown id starts a new session.
            line: what the user says. Line breaks in it become spaces.

        Returns:
            The reply, as printable text in one line.

        Raises:
            SessionError: the session cannot be used, as `uk.memory.Sessions.step` describes.
            StoreError: the store cannot be read or written.
        """
        heard = said(line)
        reply = self._reply(self._state(session), heard)
        # One step writes both sides, so a process that is killed leaves the whole turn or nothing of it.
        self.sessions.step(session, tokens(heard + answered(reply)))
        return shown(reply)

    def close(self) -> None:
        """Close the store, unless the caller opened it."""
        self.sessions.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _state(self, session: str) -> Any:
        return self.sessions.state(session) if session in self.sessions else self._initial_state(1)

    def _reply(self, state: Any, heard: bytes) -> bytes:
        """Return what the model says next; nothing is written."""
        reply, chunks = b"", split(heard)
        while len(reply) < self._length and not reply.endswith(b"\n"):
            for chunk in chunks:
                logits, state = self._step(tokens(chunk), state)
            chunks = [bytes([self._sampler.next_byte(to_numpy(logits)[0, -1])])]
            reply += chunks[0]
        return reply


def split(heard: bytes) -> list[bytes]:
    """Return a line in chunks of few different sizes: a backend that compiles a step for each size compiles few."""
    chunks = []
    for size in CHUNK_SIZES:
        while len(heard) >= size:
            chunks.append(heard[:size])
            heard = heard[size:]
    return chunks
