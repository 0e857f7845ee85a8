"""Text from elsewhere, fit for a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""Return a text in which nothing moves a terminal's cursor, hides or reorders what is read.

    Example:
        >>> printable("a\x1b[2Jb\u202e\n")
        'a\\x1b[2Jb\\u202e\n'
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in "\n\t" else char.encode("unicode_escape").decode()
        for char in text
    )
