"""report.html: one page that needs nothing but itself, from the template page.html.j2."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unikeras.apps.demo import chart, outputs, tables
from unikeras.apps.demo.chart import Chart
from unikeras.apps.demo.dataset import Array, Dataset

if TYPE_CHECKING:
    from jinja2 import Environment


def render(report: dict[str, Any], charts: Sequence[Chart], data: Dataset, out: Path) -> str:
    """Return the page of a report.

    Args:
        report: from `unikeras.apps.demo.report.assemble`, completed by the run.
        charts: its curves.
        data: the training data; the page shows some of its test images.
        out: the folder of the run's files, for the code that loads them.
    """
    environment = _environment()
    environment.filters["png"] = partial(_png, peak=data.peak)
    return environment.get_template("page.html.j2").render(
        report=report, charts=charts, data=data, checkpoint=str(out / outputs.CHECKPOINT)
    )


def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "agreeing": tables.agreeing,
        "disagreement": tables.disagreement,
        "first_line": lambda text: text.splitlines()[0],
        "fixed": tables.fixed,
        "percent": tables.percent,
        "repr": repr,
        "same_predictions": tables.predictions,
        "scientific": tables.scientific,
        "size": tables.size,
        "svg": lambda shown: _data_uri("image/svg+xml", chart.svg(shown).encode()),
        "whole": tables.whole,
        "wrong": lambda counts: int(np.sum(counts) - np.trace(counts)),
    }
    return environment


def _png(image: Array, peak: int) -> str:
    """Return an image, (height, width, 1 or 3), as a PNG in a data URI."""
    from PIL import Image

    pixels = np.round(image.astype("float64") * (255 / peak)).astype("uint8")
    stream = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(stream, "PNG")
    return _data_uri("image/png", stream.getvalue())


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
