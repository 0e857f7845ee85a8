"""Errors of toolchains, cut down to what they say."""

from __future__ import annotations

import re

from unikeras._base.printable import printable
from unikeras.errors import RemoteError, WorkerError

# Colors of torch and Keras; TensorFlow's names for places inside its graphs.
_MARKUP = re.compile(r"\x1b\[[0-9;]*m|\{\{\w*node [^}]*\}\}\s*|\s*\[Op:\w+\]")

# Lines that say where an error arose, and not what it is: Python's, Keras', OpenVINO's.
_PLACE = re.compile(
    r"""Traceback\ \(most|File\ "|in\ user\ code:|[~^\s]+$|Arguments\ received\ by|•
    |Exception\ from\ src/|Check\ '.*'\ failed\ at\ src/|.*in\ the\ TorchScript\ interpreter\.$
    |.*Exception\ encountered\ when\ calling""",
    re.VERBOSE,
)
_TRACEBACK = re.compile(r"^Traceback|^File \"|in user code:$|in the TorchScript interpreter\.$")
_RAISED = re.compile(r"[\w.]*(Error|Exception|Refusal)\b.*: .")


def plain(error: BaseException) -> str:
    """Return an error's text without colors, graph positions, control characters, and a worker's traceback."""
    text = str(error)
    if isinstance(error, RemoteError) and error.remote_traceback:
        text = text.removesuffix(error.remote_traceback)
    return printable(_MARKUP.sub("", text).strip())


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
    if any(map(_TRACEBACK.search, lines)):
        lines = [line for line in lines if _RAISED.match(line)][-1:] or lines[-1:]
    telling = [line for line in lines if not _PLACE.match(line)] or lines
    # "conversion failed:" announces what the next line says.
    return next((line for line in telling if not line.endswith(":")), telling[-1])[:500]


def fact(value: object) -> str:
    """Return a value of some metadata in words.

    Example:
        >>> fact({"keras": "3.15", "torch": "2.13"}), fact([])
        ('keras 3.15, torch 2.13', 'none')
    """
    if isinstance(value, dict):
        return ", ".join(f"{name} {inner}" for name, inner in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value)
