"""What objects show in a notebook, as HTML."""

from __future__ import annotations

from html import escape

from unikeras._base.printable import printable


def framed(page: str, height: int = 480) -> str:
    """Return a page as a frame, in which its styles stay its own.

    Args:
        page: an HTML page that needs nothing else.
        height: of the frame, in pixels.

    Example:
        >>> framed("<p>a</p>")[:37]
        '<iframe srcdoc="&lt;p&gt;a&lt;/p&gt;"'
    """
    style = f"width:100%;height:{height}px;border:0"
    return f'<iframe srcdoc="{escape(page)}" sandbox="" style="{style}"></iframe>'


def preformatted(text: str) -> str:
    """Return a text with its lines and spaces.

    Example:
        >>> preformatted("a < b")
        '<pre>a &lt; b</pre>'
    """
    return f"<pre>{escape(printable(text))}</pre>"
