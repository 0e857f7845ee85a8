"""What a benchmark found, as data, as a table, as a picture and as a page."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from unikeras._base.files import written_atomically
from unikeras._base.notebook_html import preformatted
from unikeras.compare._benchmark_advice import advice_on
from unikeras.compare._measurement import Measurement
from unikeras.errors import ArgumentValueError

HEADINGS = (
    *("task", "batch", "run by", "p50 ms", "p99 ms", "quartiles ms", "calls"),
    *("first s", "peak MiB", "note"),
)


@dataclass(frozen=True)
class BenchmarkResult:
    """What a benchmark found; prints as a table.

    Attributes:
        model: the model's name.
        parameters: the number of its parameters.
        rows: the measurements, by task and batch size.
        machine: versions, processors and load.
        notes: what was chosen for the user: data, loss, optimizer.

    Example:
        >>> medians = {"jax": 1.0, "torch": 2.0}
        >>> rows = [Measurement(name, "unikeras", "train", 64, (time,) * 9) for name, time in medians.items()]
        >>> result = BenchmarkResult("mlp", 100, rows)
        >>> result.advice[0].partition(" for this model")[0]
        'training, batch 64: jax: 2.0 x faster than torch'
        >>> result.to_dict()["rows"][1]["p50_ms"]
        2.0
    """

    model: str
    parameters: int
    rows: Sequence[Measurement]
    machine: dict[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @cached_property
    def advice(self) -> list[str]:
        """One sentence for each task and batch size: what is fastest and by how much, unless within the noise."""
        return advice_on(self.rows)

    def to_dict(self) -> dict[str, Any]:
        """Return the result as data for JSON.

        Returns:
            Dicts, lists, strings and numbers only.
        """
        return {
            "model": self.model,
            "parameters": self.parameters,
            "machine": self.machine,
            "notes": list(self.notes),
            "rows": [row.to_dict() for row in self.rows],
            "advice": self.advice,
        }

    def to_json(self) -> str:
        """Return the result as JSON.

        Returns:
            The text, indented by two spaces.
        """
        return json.dumps(self.to_dict(), indent=2)

    def table(self) -> str:
        """Return the result as text.

        Returns:
            The table, the notes and the advice.
        """
        from rich.console import Console

        console = Console(file=io.StringIO(), width=160)
        console.print(self)
        return console.file.getvalue().rstrip()  # type: ignore[attr-defined]

    def plot(self, path: str | Path | None = None) -> bytes:
        """Return the result as a picture: a bar for each median, with its quartiles.

        Args:
            path: where to write it, too; what stands there is replaced.

        Returns:
            The bytes of a PNG file.

        Raises:
            MissingDependency: matplotlib is not installed.
            OutputError: the file cannot be written.
        """
        from unikeras.compare._benchmark_chart import png

        picture = png(self.rows, self.model)
        if path is not None:
            with written_atomically(path) as temporary:
                temporary.write_bytes(picture)
        return picture

    def save(self, path: str | Path) -> None:
        """Write the result as a page that needs nothing else (.html), as data (.json) or as a picture (.png).

        Args:
            path: where to; what stands there is replaced.

        Raises:
            ArgumentValueError: the suffix is another one.
            MissingDependency: matplotlib is not installed, which pages and pictures need.
            OutputError: the file cannot be written.
        """
        suffix = Path(path).suffix.lower()
        if suffix == ".png":
            self.plot(path)
            return
        if suffix not in (".html", ".json"):
            raise ArgumentValueError(f"a benchmark is saved as .html, .json or .png; received {str(path)!r}")
        if suffix == ".html":
            from unikeras.compare._benchmark_chart import page

            text = page(
                self.title, HEADINGS, [*map(_cells, self.rows)], self.advice, self._facts(), self.plot()
            )
        else:
            text = self.to_json()
        with written_atomically(path) as temporary:
            temporary.write_text(text, encoding="utf-8")

    @property
    def title(self) -> str:
        """The model and its size."""
        return f"benchmark of {self.model}, {self.parameters:,} parameters"

    def _facts(self) -> list[str]:
        versions = ", ".join(
            f"{name} {version}" for name, version in self.machine.get("versions", {}).items()
        )
        processors, load = self.machine.get("processors"), self.machine.get("load")
        machine = [f"{versions}; {processors} processors, load {load}"] if self.machine else []
        return [*machine, *self.notes]

    def __rich__(self) -> Any:
        from rich.box import SIMPLE_HEAD
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(title=self.title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
        for heading in HEADINGS:
            if heading in _SHOWN:
                table.add_column(
                    heading, justify="left" if heading in ("task", "run by") else "right", no_wrap=True
                )
        failures = []
        for *row, error in map(_cells, self.rows):
            table.add_row(
                *(Text(cell) for heading, cell in zip(HEADINGS, row, strict=False) if heading in _SHOWN)
            )
            failures += [f"{row[0]}, batch {row[1]}: {row[2]}: {error}"] if error else []
        return Group(table, *map(Text, [*failures, *self._facts(), *self.advice]))

    def _repr_html_(self) -> str:
        return preformatted(str(self))

    def __str__(self) -> str:
        return self.table()


# What fits into a terminal of 80 columns; the page and JSON have all of it.
_SHOWN = ("task", "batch", "run by", "p50 ms", "p99 ms", "first s", "peak MiB")


def _cells(row: Measurement) -> list[str]:
    times = [f"{value:.3g}" for value in (row.p50_ms, row.p99_ms)] if row.times_ms else ["", ""]
    quartiles = f"{row.low_ms:.3g} to {row.high_ms:.3g}" if row.times_ms else ""
    return [
        *(row.task, str(row.batch), row.label, *times, quartiles, str(len(row.times_ms))),
        "" if row.first_s is None else f"{row.first_s:.2f}",
        "" if row.peak_mib is None else f"{row.peak_mib:.0f}",
        row.error or "",
    ]
