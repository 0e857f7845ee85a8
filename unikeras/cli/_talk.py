"""A conversation in the terminal, or over a pipe: lines in, replies out, and commands that begin with a slash."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Iterable, Iterator

import click
from rich.console import Console
from rich.text import Text

from unikeras.apps.chat import Chat
from unikeras.errors import SessionError, UnikerasError

HELP = "/quit or Ctrl-D ends, /reset starts over, /fork NAME copies the session, /sessions lists all"


class Talk:
    """Holds a conversation on the process' own streams.

    Replies go to stdout. Messages about the conversation go there too in a terminal, else to stderr, so that a
    pipe gets replies only.

    Args:
        chat: the chat.
        session: the session's id.
        title: the name of the model and its store.
    """

    def __init__(self, chat: Chat, session: str, title: str) -> None:
        self._chat = chat
        self._session = session
        self._title = title
        self._terminal = sys.stdin.isatty() and sys.stdout.isatty()
        self._console = Console(stderr=not self._terminal, highlight=False)

    def hold(self, lines: Iterable[str] = ()) -> None:
        """Send each of the lines; without lines, read them from stdin to its end.

        Raises:
            SessionError: the session cannot be used.
            StoreError: the store cannot be read or written.
        """
        lines = list(lines)
        self._greet(bool(lines))
        if lines:
            for line in lines:
                self._say(line)
            return
        for line in self._heard():
            if line.strip() == "/quit":
                break
            if line.startswith("/"):
                self._command(line)
            elif line.strip():
                self._say(line)

    def _greet(self, brief: bool) -> None:
        name = Text(printable(self._session), "bold")
        self._tell(Text.assemble(self._title, ", session ", name, f": {self._known()}"))
        if not brief and self._terminal:
            self._tell(Text(HELP, "dim"))

    def _known(self) -> str:
        """Return whether the session is new; refuse one that cannot be used."""
        if self._session not in self._chat.sessions:
            return "new"
        try:
            self._chat.sessions.state(self._session)
        except SessionError as error:
            raise type(error)(f"{error}. --forget deletes this one", error.sessions) from error
        row = self._chat.sessions.store.read([self._session])[self._session]
        return f"remembered, last turn {ago(time.time() - row.updated)}"

    def _heard(self) -> Iterator[str]:
        if not self._terminal:
            if isinstance(sys.stdin, io.TextIOWrapper):  # a pipe may carry any bytes
                sys.stdin.reconfigure(encoding="utf-8", errors="replace")
            for line in sys.stdin:
                yield line.rstrip("\r\n")
            return
        import readline  # noqa: F401  # arrows and history in input()

        while True:
            try:
                yield input("> ")
            except EOFError:
                self._console.print()
                return

    def _say(self, line: str) -> None:
        reply = self._chat.say(self._session, line)
        if self._terminal:
            self._console.print(Text(reply, "cyan"))
        else:
            click.echo(reply)

    def _command(self, line: str) -> None:
        name, _, rest = line[1:].partition(" ")
        try:
            self._tell(Text(self._done(name.strip(), rest.strip()), "dim"))
        except UnikerasError as error:
            self._tell(Text(str(error), "red"))

    def _done(self, name: str, rest: str) -> str:
        sessions, me = self._chat.sessions, printable(self._session)
        if name == "reset":
            sessions.reset(self._session)
            return f"{me} starts over"
        if name == "fork" and rest:
            sessions.fork(self._session, rest)
            return f"{printable(rest)} is a copy of {me}; this chat continues as {me}"
        if name == "sessions":
            return ", ".join(sorted(map(printable, sessions))) or "none yet"
        return HELP

    def _tell(self, text: Text) -> None:
        self._console.print(text)


def printable(text: str) -> str:
    """Return a session's id as a terminal can show it."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def ago(seconds: float) -> str:
    """Return an age in words.

    Example:
        >>> ago(5), ago(60), ago(7500), ago(3 * 86400)
        ('just now', '1 minute ago', '2 hours ago', '3 days ago')
    """
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if (count := int(seconds // size)) >= 1:
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"
