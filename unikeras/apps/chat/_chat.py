"""Conversations: what the user says, the model's reply, and the memory of both."""

from __future__ import annotations

import os
from typing import Any, Self

from unikeras._specs.states import flat
from unikeras.apps.chat._bytes import answered, said, shown, tokens
from unikeras.apps.chat._convention import check
from unikeras.apps.chat._sampling import Sampler
from unikeras.errors import ArgumentValueError
from unikeras.memory import Sessions, Store
from unikeras.memory._turns import turns_of

LENGTH = 200


class Chat:
    """Conversations with a byte-level recurrent model, each remembered in a store.

    A line and its reply are one turn of the session: the memory holds both or, where the process is killed in
    between, neither. No text is stored, only the model's state.

    Args:
        model: takes bytes, `(batch, time)` integers, and returns logits, `(batch, time, classes)` with at most 256
            classes; whatever `uk.memory.Sessions` takes: a Keras model, or an artifact with memory.
        store: as for `uk.memory.Sessions`.
        temperature: 0 for the likeliest reply; the higher, the freer.
        seed: of what chance there is; None for another one each time.
        length: how many bytes a reply has at most.

    Attributes:
        sessions: the `uk.memory.Sessions`, to fork, reset and forget.

    Raises:
        ArgumentValueError: the model takes or returns something else, or a number is out of its range.

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
        self._model = turns_of(model)
        check(self._model)
        self.sessions = Sessions(self._model, store)

    def say(self, session: str, line: str) -> str:
        """Say something and return the reply.

        Args:
            session: whose memory it is; it begins where there is none yet.
            line: what the user says. Line breaks in it become spaces.

        Returns:
            The reply, as printable text in one line.

        Raises:
            SessionError: the session's memory cannot be used, as `uk.memory.Sessions.step` describes it.
            StoreError: the store cannot be read or written.
        """
        heard = said(line)
        reply = self._reply(self._memory(session), heard)
        # Both sides in one step, so that a kill before it leaves nothing and one after it leaves all.
        self.sessions.step(session, tokens(heard + answered(reply)))
        return shown(reply)

    def close(self) -> None:
        """Close the store, where it was opened here."""
        self.sessions.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _memory(self, session: str) -> list[Any] | None:
        if session not in self.sessions:
            return None
        return flat(self._model.states, self.sessions.state(session))

    def _reply(self, memory: list[Any] | None, heard: bytes) -> bytes:
        """Return what the model says next; nothing is written."""
        reply, chunk = b"", heard
        while len(reply) < self._length and not reply.endswith(b"\n"):
            outputs, states = self._model.turns([tokens(chunk)], [memory])
            memory = states[0]
            chunk = bytes([self._sampler.next_byte(outputs[0][0, -1])])
            reply += chunk
        return reply
