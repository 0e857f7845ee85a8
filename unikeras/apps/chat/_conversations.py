"""Generated conversations for training: names that are told and asked for, and the Zen of Python line by line.

In between, the user says phrases of Python's documentation, so the model must keep the name across them.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from unikeras.apps.chat._bytes import answered, said
from unikeras.apps.chat._text import phrases, zen

NAMES = (
    *("Ada", "Alan", "Bob", "Carol", "Dan", "Emma", "Frank", "Grace"),
    *("Hanna", "Ivan", "Linus", "Maria", "Olga", "Paul", "Tim", "Zoe"),
)
INTRODUCTIONS = ("i am {}", "I am {}", "i'm {}", "I'm {}", "my name is {}", "My name is {}", "call me {}")
# The short ones are learned first, and the longer ones from them.
QUESTIONS = ("who?", "me?", "who am i", "who am I?", "Who am I?", "what is my name", "What is my name?")
ZEN, NEXT = ("zen", "the zen", "import this"), ("next", "more", "another")


@dataclass(frozen=True)
class Turn:
    """A line and its reply."""

    line: str
    reply: str


@dataclass(frozen=True)
class Conversation:
    """A sequence of turns.

    Example:
        >>> Conversation((Turn("i am Ada", "hello Ada"), Turn("who am i", "Ada, you said"))).text
        b'> i am Ada\\nhello Ada\\n> who am i\\nAda, you said\\n'
    """

    turns: Sequence[Turn]

    @property
    def text(self) -> bytes:
        return b"".join(said(turn.line) + answered(turn.reply.encode()) for turn in self.turns)


class Speaker:
    """Generates turns, and knows the right reply to each line.

    Args:
        rng: chooses the lines.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._name: str | None = None
        self._line = -1

    def introduction(self) -> Turn:
        """Tell a name."""
        self._name = self._rng.choice(NAMES)
        written = self._rng.choice((self._name, self._name, self._name.lower()))
        return Turn(self._rng.choice(INTRODUCTIONS).format(written), f"hello {self._name}")

    def question(self) -> Turn:
        """Ask for the name."""
        reply = f"{self._name}, you said" if self._name else "you have not told me"
        return Turn(self._rng.choice(QUESTIONS), reply)

    def zen(self) -> Turn:
        """Ask for the next line of the Zen, or for the first."""
        if self._line < 0 or self._rng.random() < 0.1:
            self._line = 0
            return Turn(self._rng.choice(ZEN), zen()[0])
        self._line = (self._line + 1) % len(zen())
        return Turn(self._rng.choice(NEXT), zen()[self._line])

    def small_talk(self) -> Turn:
        """Say something else."""
        phrase = self._rng.choice(phrases())
        line = self._rng.choice((phrase, phrase.lower())) + self._rng.choice(("", ".", "?"))
        return Turn(line, f"{self._name}, go on" if self._name else "go on")


def conversation(rng: random.Random, difficulty: float = 1.0) -> Conversation:
    """Return a conversation.

    Args:
        rng: chooses the lines.
        difficulty: from 0, names only, to 1, as much else as names.

    Example:
        >>> one = conversation(random.Random(0), difficulty=0.0)
        >>> one.turns[0].reply.startswith("hello ")
        True
    """
    speaker = Speaker(rng)
    if rng.random() < 0.05 * difficulty:  # the only way to reach its last lines
        return Conversation(tuple(speaker.zen() for _ in zen()))
    turns = [speaker.introduction()] if rng.random() < 0.8 else []
    for _ in range(rng.randint(2, 4 + round(4 * difficulty))):
        if rng.random() < 0.6 * difficulty:
            turns.append(rng.choice((speaker.zen, speaker.zen, speaker.small_talk))())
        else:
            turns.append(rng.choice((speaker.question, speaker.question, speaker.introduction))())
    return Conversation(tuple(turns))
