"""The report of a comparison: what it found, as a table, a chart and a page."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unikeras._base.files import written_atomically
from unikeras._base.optional import require
from unikeras.compare._parity_findings import Findings
from unikeras.errors import ArgumentValueError


@dataclass(frozen=True)
class ParityReport(Findings):
    """What a comparison found; prints as a table.

    Attributes:
        model: the model's name.
        rtol: the relative tolerance.
        atol: the absolute tolerance.
        sides: what was compared; the others are compared with the first that finished.
        layers: one row for each layer and other side, in the order of the computation.
        differences: the first difference of each other side that differs.
        notes: what to know of the comparison.

    Example:
        >>> import unikeras as uk
        >>> sides = [uk.compare.SideRow("jax"), uk.compare.SideRow("torch")]
        >>> report = uk.compare.ParityReport("mlp", 1e-5, 1e-6, sides)
        >>> report.equal, report.first
        (True, None)
    """

    def table(self) -> Any:
        """Return the report as a table for a terminal.

        Returns:
            A `rich` renderable.
        """
        return self.__rich__()

    def plot(self) -> Any:
        """Draw the relative difference of each layer, in each phase, by the order of the layers.

        Returns:
            A `matplotlib` figure.

        Raises:
            MissingDependency: matplotlib is not installed.
        """
        require("matplotlib", "demo", "a chart")
        from unikeras.compare._parity_chart import figure

        return figure(self)

    def save(self, path: str | Path) -> None:
        """Write the report as a page that needs nothing else (.html), as data (.json) or as a chart (.png, .svg).

        Args:
            path: where to; what stands there is replaced.

        Raises:
            ArgumentValueError: the suffix is another one.
            MissingDependency: a chart needs matplotlib, which is not installed.
            OutputError: the file cannot be written.
        """
        suffix = Path(path).suffix.lower()
        if suffix not in (".html", ".json", ".png", ".svg"):
            raise ArgumentValueError(
                f"a report is saved as .html, .json, .png or .svg; received {str(path)!r}"
            )
        if suffix in (".png", ".svg"):
            content = io.BytesIO()
            self.plot().savefig(content, format=suffix[1:])
            data = content.getvalue()
        else:
            data = (self._page() if suffix == ".html" else self.to_json()).encode()
        with written_atomically(path) as temporary:
            temporary.write_bytes(data)

    def __rich__(self) -> Any:
        from unikeras.compare._parity_tables import tables

        return tables(self)

    def __str__(self) -> str:
        from rich.console import Console

        console = Console(file=io.StringIO(), width=120)
        console.print(self.__rich__())
        return console.file.getvalue().rstrip()  # type: ignore[attr-defined]

    def _page(self) -> str:
        from unikeras.compare._parity_page import page

        return page(self)
