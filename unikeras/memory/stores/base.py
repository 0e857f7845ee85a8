"""What a store owes: rows that are read, written only as expected, deleted, and listed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Self

from unikeras.errors import ArgumentError


@dataclass(frozen=True)
class Row:
    """The memory of one session, as a store holds it.

    Attributes:
        version: grows with every write of the session, and is larger than any that the session had
            before, even where it was deleted in between.
        blob: the state; a store does not look into it.
        updated: when it was written, in seconds since the epoch.

    Example:
        >>> Row(1, b"state", 1.5e9).version
        1
    """

    version: int
    blob: bytes
    updated: float


class Store(ABC):
    """Where sessions live: five methods, which any number of processes may call at once.

    A session's id is any `str`: empty, with NUL, with lone surrogates; `encode` and `decode` make bytes
    of it and back. What fails raises a `StoreError`.

    Example:
        >>> import unikeras as uk
        >>> with uk.memory.MemoryStore() as store:
        ...     first = store.write({"alice": (0, b"state")})
        ...     lost = store.write({"alice": (0, b"somebody else's")})
        ...     store.read(["alice", "bob"])["alice"].blob, first, lost
        (b'state', {'alice': 1}, {})
    """

    @abstractmethod
    def read(self, sessions: Collection[str]) -> dict[str, Row]:
        """Return the rows of the existing sessions.

        Args:
            sessions: ids; unknown ones are ignored.

        Returns:
            The row of each session that exists, by id.
        """

    @abstractmethod
    def write(self, rows: Mapping[str, tuple[int, bytes]]) -> dict[str, int]:
        """Write each blob whose session still has the version given with it, durably, and leave the others.

        Args:
            rows: by session: the version that was read, 0 for a session that must not exist yet; the blob.

        Returns:
            The new version of each session that was written; the others lost a race.
        """

    @abstractmethod
    def delete(self, sessions: Collection[str]) -> None:
        """Delete the sessions.

        Args:
            sessions: ids; unknown ones are ignored.
        """

    @abstractmethod
    def ids(self) -> Iterator[str]:
        """Yield the id of each session that exists during the whole iteration, once, in memory that does not grow.

        Yields:
            Ids, in any order.
        """

    @abstractmethod
    def expire(self, before: float) -> int:
        """Delete the sessions last written before a time.

        Args:
            before: the time, in seconds since the epoch.

        Returns:
            How many sessions were deleted.
        """

    def close(self) -> None:
        """Let go of files and connections; where there are none, this does nothing."""
        return

    def __len__(self) -> int:
        return sum(1 for _ in self.ids())

    def __contains__(self, session: object) -> bool:
        return isinstance(session, str) and session in self.read([session])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def encode(session: str) -> bytes:
    r"""Return the bytes that stand for a session's id in a store, one to one.

    Raises:
        ArgumentError: the id is no str.

    Example:
        >>> encode("\ud800"), decode(encode("\ud800")) == "\ud800"
        (b'\xed\xa0\x80', True)
    """
    if not isinstance(session, str):
        raise ArgumentError(f"a session's id is a str; received {session!r:.100} ({type(session).__name__})")
    return session.encode("utf-8", "surrogatepass")


def decode(name: bytes) -> str:
    """Return the id that `encode` made these bytes from."""
    return name.decode("utf-8", "surrogatepass")
