"""Whether a model remembers, measured on unseen conversations."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import numpy as np

from unikeras.apps.chat._bytes import Tokens, answered, said, tokens
from unikeras.apps.chat._conversations import NEXT, Conversation, Turn, conversation
from unikeras.memory import MemoryStore, Sessions

# Training counts its seeds up from 0.
_UNSEEN = 1 << 32


@dataclass(frozen=True)
class Recall:
    """How many replies that depend on earlier turns were exactly right.

    Attributes:
        names: right replies with the user's name.
        names_asked: questions for it.
        lines: right next lines of the Zen of Python.
        lines_asked: questions for them.

    Example:
        >>> print(Recall(names=9, names_asked=10, lines=4, lines_asked=5))
        names 9 of 10, lines of the Zen 4 of 5
    """

    names: int
    names_asked: int
    lines: int
    lines_asked: int

    def __str__(self) -> str:
        return (
            f"names {self.names} of {self.names_asked}, lines of the Zen {self.lines} of {self.lines_asked}"
        )


def recall(model: Any, conversations: int = 100, seed: int = 0) -> Recall:
    """Count the right replies of a model, at temperature 0, that depend on earlier turns.

    Each reply follows a conversation whose earlier replies were right. A reply is right at temperature 0 if each
    of its bytes is the likeliest after those before it, so all conversations are one batched call.

    Args:
        model: as for `Chat`.
        conversations: number of conversations.
        seed: of the conversations; `train` never uses the same ones.

    Returns:
        How many replies were asked for and how many were right, for names and for lines.

    Example:
        >>> from unikeras.apps.chat import byte_model
        >>> found = recall(byte_model(units=8), conversations=4)
        >>> found.names, found.names_asked > 0
        (0, True)
    """
    rng = random.Random(_UNSEEN + seed)
    held = [conversation(rng) for _ in range(conversations)]
    read = {str(number): tokens(one.text) for number, one in enumerate(held)}
    outputs = Sessions(model, MemoryStore()).step(read)
    right: dict[str, list[bool]] = {"names": [], "lines": []}
    for number, one in enumerate(held):
        text, likeliest = read[str(number)], outputs[str(number)][0].argmax(-1)
        for turn, begin, end in _replies(one):
            if (kind := _needed(turn)) is not None:
                right[kind].append(_continues(likeliest, text[0], begin, end))
    names, lines = right["names"], right["lines"]
    return Recall(sum(names), len(names), sum(lines), len(lines))


def _replies(one: Conversation) -> list[tuple[Turn, int, int]]:
    """Return each turn, and where in the conversation's bytes its reply begins and ends."""
    found, place = [], 0
    for turn in one.turns:
        begin = place + len(said(turn.line))
        place = begin + len(answered(turn.reply.encode()))
        found.append((turn, begin, place))
    return found


def _needed(turn: Turn) -> str | None:
    """Return what a reply depends on."""
    if turn.reply.endswith(", you said"):
        return "names"
    return "lines" if turn.line in NEXT else None


def _continues(likeliest: Tokens, text: Tokens, begin: int, end: int) -> bool:
    """Return whether each byte of a reply is the likeliest one."""
    return bool(np.array_equal(likeliest[begin - 1 : end - 1], text[begin:end]))
