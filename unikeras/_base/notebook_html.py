"""What objects show in a notebook, as HTML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from unikeras._base.printable import printable


def framed(page: str, height: int = 480, scripts: bool = False) -> str:
    """Return a page as a frame, in which its styles stay its own.

    Args:
        page: an HTML page that needs nothing else.
        height: of the frame, in pixels.
        scripts: whether those of the page run; they see the frame and nothing else.

    Example:
        >>> framed("<p>a</p>")[:37]
        '<iframe srcdoc="&lt;p&gt;a&lt;/p&gt;"'
    """
    sandbox = "allow-scripts" if scripts else ""
    style = f"width:100%;height:{height}px;border:0"
    return f'<iframe srcdoc="{escape(page)}" sandbox="{sandbox}" style="{style}"></iframe>'


def preformatted(text: str) -> str:
    """Return a text with its lines and spaces.

    Example:
        >>> preformatted("a < b")
        '<pre>a &lt; b</pre>'
    """
    return f"<pre>{_text(text)}</pre>"


def table(title: str, rows: Iterable[Sequence[object]], note: str = "") -> str:
    """Return rows below a title, and a note below them, in the colors of the page that shows them.

    Args:
        title: what is shown.
        rows: texts, or what has one.
        note: its words that begin with https:// become links.

    Example:
        >>> table("a < b", [["x", 1]]).count("<td")
        2
    """
    cell = '<td style="border:1px solid #8888;padding:2px 8px;text-align:left">'
    lines = ("".join(f"{cell}{_text(value)}</td>" for value in row) for row in rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    below = " ".join(
        f'<a href="{escape(word)}">{escape(word)}</a>' if word.startswith("https://") else _text(word)
        for word in note.split()
    )
    return (
        f"<div><strong>{_text(title)}</strong>"
        f'<table style="border-collapse:collapse;margin:4px 0">{body}</table>{below}</div>'
    )


def _text(value: object) -> str:
    return escape(printable(str(value)))
