"""Lines of code, broken where they are too long, as black and ruff break them."""

from __future__ import annotations

from collections.abc import Sequence

WIDTH = 88


def call_lines(
    start: str, arguments: Sequence[str], end: str = ")", indent: int = 8, comment: str = ""
) -> list[str]:
    """Return the lines of one call.

    Args:
        start: all up to the opening parenthesis, with it.
        arguments: what stands between the parentheses.
        end: the closing parenthesis and what follows.
        indent: the number of spaces before the first line.
        comment: what stands behind the first line, where it is the only one.

    Example:
        >>> call_lines("x = f(", ["a", "b"], indent=0)
        ['x = f(a, b)']
        >>> call_lines("x = f(", ["a" * 60, "b" * 20], indent=0)[1:]
        ['    aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, bbbbbbbbbbbbbbbbbbbb', ')']
    """
    pad = " " * indent
    one = f"{pad}{start}{', '.join(arguments)}{end}"
    if len(one) <= WIDTH or not arguments:
        return [f"{one}  {comment}" if comment else one]
    inner = f"{pad}    {', '.join(arguments)}"
    if len(inner) <= WIDTH:
        return [f"{pad}{start}", inner, f"{pad}{end}"]
    return [f"{pad}{start}", *(f"{pad}    {argument}," for argument in arguments), f"{pad}{end}"]
