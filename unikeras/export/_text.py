"""Errors of toolchains, cut down to what they say."""

from __future__ import annotations

import re

from unikeras._printable import printable
from unikeras.errors import WorkerError


def plain(error: BaseException) -> str:
    """Return an error's text without the colors that torch and Keras give it, and without control characters."""
    return printable(re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip())


def brief(error: BaseException) -> str:
    """Return the line of an error that says most, and that of what caused it.

    Example:
        >>> brief(ValueError("no such operator\\nand a page of advice"))
        'ValueError: no such operator'
    """
    text = _line(error)
    if isinstance(error, WorkerError):  # says by itself where it came from and what it was
        return text
    cause = error.__cause__
    because = f", because of {type(cause).__name__}: {_line(cause)}" if cause else ""
    return f"{type(error).__name__}: {text}{because}"


def _line(error: BaseException) -> str:
    lines = [line.strip() for line in plain(error).splitlines() if line.strip()] or [""]
    number = 0
    if lines[0].endswith(("in user code:", "in the TorchScript interpreter.")):  # and then a traceback
        number = -1
    elif "Exception encountered when calling" in lines[0] and len(lines) > 1:  # Keras names the layer first
        number = 1
    return lines[number][:500]
