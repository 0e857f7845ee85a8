"""Lines of a conversation as bytes, and bytes as text that a terminal can show."""

from __future__ import annotations

from typing import Any

import numpy as np

Tokens = np.ndarray[Any, np.dtype[np.int32]]

END = ord("\n")


def said(line: str) -> bytes:
    r"""Return a user's line as the model reads it: marked, terminated, and without line breaks.

    Example:
        >>> said("i am\nAda")
        b'> i am Ada\n'
    """
    return f"> {' '.join(line.splitlines())}\n".encode(errors="replace")


def answered(reply: bytes) -> bytes:
    r"""Return the model's own reply as the model reads it.

    Example:
        >>> answered(b"hello Ada"), answered(b"hello Ada\n")
        (b'hello Ada\n', b'hello Ada\n')
    """
    return reply.removesuffix(b"\n") + b"\n"


def tokens(text: bytes) -> Tokens:
    r"""Return bytes as a batch of one sequence.

    Example:
        >>> tokens(b"A\n")
        array([[65, 10]], dtype=int32)
    """
    return np.frombuffer(text, np.uint8).astype(np.int32)[None]


def shown(reply: bytes) -> str:
    r"""Return a reply as one line of printable text; a model may emit control sequences.

    Example:
        >>> shown(b"caf\xc3\xa9\x1b[2J\n")
        'café�[2J'
    """
    text = reply.removesuffix(b"\n").decode(errors="replace")
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
