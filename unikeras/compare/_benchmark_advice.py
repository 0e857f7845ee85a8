"""One sentence about what is fastest, or that nothing is, given the noise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unikeras.compare._measurement import Measurement

VERBS = {"train": "training", "predict": "prediction"}


def advice_on(rows: Iterable[Measurement]) -> list[str]:
    """Return one sentence for each task and batch size that several backends ran.

    Args:
        rows: measurements; references and failures are left out.
    """
    own = [row for row in rows if row.error is None and row.way in ("unikeras", "artifact")]
    return [sentence for _, group in groupby(own, _group) for sentence in _sentences(list(group))]


def _group(row: Measurement) -> tuple[str, int]:
    return row.task, row.batch


def _sentences(rows: Sequence[Measurement]) -> Iterator[str]:
    if len(rows) < 2:
        return
    fastest, *others = sorted(rows, key=lambda row: row.p50_ms)
    level = [row for row in others if row.low_ms <= fastest.high_ms]
    slower = [row for row in others if row not in level]
    where = f"{VERBS[fastest.task]}, batch {fastest.batch}"
    if not slower:
        names = ", ".join(row.name for row in [fastest, *level])
        yield f"{where}: no choice between {names}; their difference is within the noise (interquartile range)"
        return
    names = " and ".join(row.name for row in [fastest, *level])
    tied = " (level within the noise)" if level else ""
    factors = ", ".join(f"{row.p50_ms / fastest.p50_ms:.1f} x faster than {row.name}" for row in slower)
    low, high = slower[0].low_ms / fastest.high_ms, slower[0].high_ms / fastest.low_ms
    span = f"{low:.1f} to {high:.1f} against {slower[0].name} by the interquartile ranges"
    yield f"{where}: {names}{tied}: {factors} for this model on this machine ({span})"
