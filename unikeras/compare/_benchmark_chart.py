"""A benchmark as a picture, drawn by matplotlib, and as one page, from the template benchmark.html.j2."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unikeras._base.optional import require

if TYPE_CHECKING:
    from unikeras.compare._measurement import Measurement

COLORS = {"unikeras": "#0b62c4", "artifact": "#0a7d5c", "keras": "#98a2b3", "hand-written": "#d1570a"}


def png(rows: Sequence[Measurement], model: str) -> bytes:
    """Return a PNG file: a panel for each task and batch size, a bar for each row that has times."""
    # Not pyplot, which would keep the figure, and choose a backend, for the whole process.
    figures = require("matplotlib.figure", "demo", "a picture of a benchmark")
    timed = [row for row in rows if row.times_ms]
    panels = [list(group) for _, group in groupby(timed, lambda row: (row.task, row.batch))]
    heights = [1 + 0.4 * len(panel) for panel in panels] or [1.4]
    figure = figures.Figure(figsize=(7, 0.4 + sum(heights)), layout="constrained")
    axes = figure.subplots(len(heights), 1, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
    for axis, panel in zip(axes, panels, strict=False):
        _draw(axis, panel)
    if not panels:
        axes[0].text(0.5, 0.5, "nothing could be measured", ha="center")
        axes[0].axis("off")
    figure.suptitle(f"{model}: milliseconds a call, medians and quartiles")
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=120)
    return stream.getvalue()


def _draw(axis: Any, panel: Sequence[Measurement]) -> None:
    medians = [row.p50_ms for row in panel]
    below = [row.p50_ms - row.low_ms for row in panel]
    above = [row.high_ms - row.p50_ms for row in panel]
    colors = [COLORS[row.way] for row in panel]
    axis.barh(range(len(panel)), medians, xerr=[below, above], color=colors, capsize=3)
    axis.set_yticks(range(len(panel)), [row.label for row in panel])
    axis.invert_yaxis()
    axis.set_title(f"{panel[0].task}, batch {panel[0].batch}", loc="left", fontsize=10)
    axis.spines[["top", "right"]].set_visible(False)


def page(
    title: str,
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    advice: Sequence[str],
    facts: Sequence[str],
    picture: bytes,
) -> str:
    """Return a page with a table, sentences above and below it, and a PNG picture inside."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    # Names of models and errors of frameworks may hold anything: autoescape keeps them text.
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("benchmark.html.j2").render(
        title=title,
        headings=headings,
        rows=rows,
        advice=advice,
        facts=facts,
        picture=f"data:image/png;base64,{base64.b64encode(picture).decode()}",
    )
