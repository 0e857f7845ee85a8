"""A parity report as one page that needs nothing but itself, from the template parity.html.j2."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

from unikeras._base.optional import is_installed
from unikeras.compare._distances import PHASES
from unikeras.compare._parity_tables import row_cells, side_cells


def page(report: Any) -> str:
    """Return the page; it has a chart where matplotlib is installed."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    # Names of layers and errors may hold anything: autoescape keeps them text.
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    rows = [(row_cells(row), all(gap.equal for gap in row.gaps.values())) for row in report.layers]
    return environment.get_template("parity.html.j2").render(
        report=report,
        sides=[(side_cells(side), side.error is None) for side in report.sides],
        headings=("layer", "class", "against", *PHASES, "alone"),
        rows=rows,
        chart=_chart(report) if is_installed("matplotlib") and report.layers else None,
    )


def _chart(report: Any) -> str:
    stream = io.BytesIO()
    report.plot().savefig(stream, format="svg")
    return f"data:image/svg+xml;base64,{base64.b64encode(stream.getvalue()).decode()}"
