"""What is written for readers of the source becomes what Sphinx reads.

Docstrings name code as Markdown does, in single backticks; pages link to files beside the documentation.
"""

from __future__ import annotations

import re
from typing import Any

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

_CODE = re.compile(r"(?<!`)`([^`]+)`(?!`)(\w*)")
_LINK_UP = re.compile(r"\[([^\]]+)\]\(((?:\.\./)+)(?!README)[^)]+\)")


def docstring(_: Sphinx, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Write code in double backticks; elsewhere a star is a star."""
    lines[:] = _rest("\n".join(lines)).split("\n")


def _rest(text: str) -> str:
    parts, end = [], 0
    for found in _CODE.finditer(text):
        code = " ".join(found[1].split())
        joined = f"\\ {found[2]}" if found[2] else ""
        parts += [_escape(text[end : found.start()]), f"``{code}``{joined}"]
        end = found.end()
    return "".join([*parts, _escape(text[end:])])


def _escape(text: str) -> str:
    return re.sub(r"(?<!\\)\*", r"\\*", text)


def page(_: Sphinx, name: str, source: list[str]) -> None:
    """Leave the text alone of a link that leads out of the documentation."""
    depth = name.count("/")

    def shown(link: re.Match[str]) -> str:
        return link[1] if link[2].count("../") > depth else link[0]

    source[0] = _LINK_UP.sub(shown, source[0])


def included(_: Sphinx, path: Any, name: str, source: list[str]) -> None:
    """Links of a file at the root lead into `docs/`."""
    source[0] = source[0].replace("](docs/", "](")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the changes."""
    app.connect("autodoc-process-docstring", docstring, priority=100)
    app.connect("source-read", page)
    app.connect("include-read", included)
    app.add_lexer("mermaid", TextLexer)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
