"""The one warning of a function that is traced again and again: which argument varies, and what to do."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from unikeras.backends import Composite
from unikeras.functions._call_arguments import TENSOR, CallSignature, Node, names, show

RETRACES = 8  # retraces before the warning


def warn(f: Callable[..., Any], calls: Sequence[CallSignature]) -> None:
    """Warn that `f` was traced for each of these calls."""
    name = getattr(f, "__qualname__", repr(f))
    warnings.warn(
        f"uk.function {name} has been traced {len(calls)} times, and tracing is slow: {what_varies(f, calls)}. "
        "Pass what varies as a tensor or an array (or keep it in a keras.Variable), give batches one size (or pad "
        "them), or move the choice out of the function. This is said once.",
        RuntimeWarning,
        stacklevel=5,
    )


def what_varies(f: Callable[..., Any], calls: Sequence[CallSignature]) -> str:
    """Say in which arguments and captured values these calls of `f` differ."""
    last = calls[-1]
    alike = [call for call in calls if call.structure == last.structure]
    reasons = [
        _of_leaf(name, entries)
        for name, entries in zip(names(f, last.structure), _by_leaf(alike), strict=True)
    ]
    if len(alike) < len(calls):
        reasons.insert(0, "the nesting of its arguments varies")
    return "; ".join(filter(None, [*reasons, *_of_captured(calls)]))


def _of_captured(calls: Sequence[CallSignature]) -> Iterator[str]:
    for place, *values in zip(
        calls[-1].captured.places, *(call.captured.values for call in calls), strict=True
    ):
        if len(distinct := dict.fromkeys(values)) > 1:
            yield f"{place.name!r} ({place.of}) was {_list(map(_Python, distinct))}"


def _by_leaf(calls: Sequence[CallSignature]) -> list[list[Any]]:
    """Return for each leaf what it was in each call: a Python value, or a tensor's (shape, dtype)."""
    by_call = []
    for call in calls:
        tensors = iter(zip(call.shapes, call.dtypes, strict=True))
        by_call.append([_describe(entry, tensors) for entry in call.static])
    return [list(column) for column in zip(*by_call, strict=True)]


def _describe(entry: Any, tensors: Iterator[Any]) -> Any:
    if entry is TENSOR:
        return next(tensors)
    if not isinstance(entry, Composite | Node):
        return _Python(entry)
    shapes, dtypes = zip(*[next(tensors) for _ in range(entry.count)], strict=True)
    return (entry.kind, *shapes), dtypes


class _Python:
    def __init__(self, entry: Any) -> None:
        self.entry = entry

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Python) and bool(self.entry == other.entry)

    def __repr__(self) -> str:
        return show(self.entry)


def _of_leaf(name: str, seen: Sequence[Any]) -> str:
    distinct: list[Any] = []
    for value in seen:
        if value not in distinct:
            distinct.append(value)
    if len(distinct) == 1:
        return ""
    if any(isinstance(value, _Python) for value in distinct):
        return f"argument {name!r} was {_list(distinct)}"
    shapes, dtypes = zip(*distinct, strict=True)
    if len(set(shapes)) > 1:
        return f"argument {name!r} had the shapes {_list(dict.fromkeys(shapes))}"
    return f"argument {name!r} had the dtypes {_list(dict.fromkeys(dtypes))}"


def _list(values: Any, most: int = 4) -> str:
    texts = [repr(value) for value in values]
    return ", ".join([*texts[:most], *(["..."] if len(texts) > most else [])])
