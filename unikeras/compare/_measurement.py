"""One row of a benchmark: what ran, how long each call took, and how much memory it needed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Measurement:
    """One row: a backend or a format, doing one task at one batch size.

    Attributes:
        name: the backend or the format.
        way: `"unikeras"`; `"artifact"`; or a reference: `"keras"`, `"hand-written"`.
        task: `"train"` or `"predict"`.
        batch: rows in a batch.
        times_ms: milliseconds of each call, in the order of the rounds; the first calls are not among them.
        first_s: seconds of the first call, which traces and compiles, and opens an artifact; None without times.
        peak_mib: the most resident memory of the process while the row ran, in MiB; None where it is not known.
        error: why there are no times; None where there are.

    Example:
        >>> row = Measurement("jax", "unikeras", "train", 64, (2.0, 1.0, 3.0), first_s=0.5)
        >>> row.p50_ms, row.label
        (2.0, 'jax')
    """

    name: str
    way: str
    task: str
    batch: int
    times_ms: tuple[float, ...] = ()
    first_s: float | None = None
    peak_mib: float | None = None
    error: str | None = None

    @property
    def label(self) -> str:
        """The name, with the reference that it is."""
        return f"{self.name}, {self.way}" if self.way in ("keras", "hand-written") else self.name

    @property
    def p50_ms(self) -> float:
        """The median, in milliseconds; NaN without times."""
        return self._percentile(50)

    @property
    def p99_ms(self) -> float:
        """The 99th percentile, in milliseconds; NaN without times."""
        return self._percentile(99)

    @property
    def low_ms(self) -> float:
        """The lower quartile, in milliseconds; NaN without times."""
        return self._percentile(25)

    @property
    def high_ms(self) -> float:
        """The upper quartile, in milliseconds; NaN without times."""
        return self._percentile(75)

    def to_dict(self) -> dict[str, Any]:
        """Return the row as data for JSON: percentiles, None without times, and the number of calls behind them.

        Returns:
            Dicts, lists, strings and numbers only.
        """
        percentiles = {
            key: getattr(self, key) if self.times_ms else None
            for key in ("p50_ms", "p99_ms", "low_ms", "high_ms")
        }
        calls = {"calls": len(self.times_ms)}
        return {key: value for key, value in asdict(self).items() if key != "times_ms"} | percentiles | calls

    def _percentile(self, share: float) -> float:
        return float(np.percentile(self.times_ms, share)) if self.times_ms else float("nan")
