"""report.html: one page that needs nothing but itself, from the template page.html.j2."""

from __future__ import annotations

import base64
import hashlib
import io
import shlex
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


SCRIPT = Path(__file__).with_name("page.js").read_text()


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
        report=report,
        charts=charts,
        data=data,
        files=outputs,
        checkpoint=str(out / outputs.CHECKPOINT),
        script=SCRIPT,
        script_hash=_hash(SCRIPT),
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
        "alone": tables.alone,
        "disagreement": tables.disagreement,
        "first_line": lambda text: text.splitlines()[0],
        "fixed": tables.fixed,
        "interval": tables.interval,
        "loss": tables.significant,
        "percent": tables.percent,
        "quote": shlex.quote,
        "repr": repr,
        "right": lambda counts: int(np.trace(counts)),
        "same_predictions": tables.predictions,
        "scientific": tables.scientific,
        "size": tables.size,
        "svg": lambda shown: _data_uri("image/svg+xml", chart.svg(shown).encode()),
        "verdict": tables.verdict,
        "whole": tables.whole,
        "wrong": lambda counts: int(np.sum(counts) - np.trace(counts)),
    }
    return environment


def _hash(script: str) -> str:
    """Return the source expression that lets a content security policy run this script and no other."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def _png(image: Array, peak: int) -> str:
    """Return an image, (height, width, 1 or 3), as a PNG in a data URI."""
    from PIL import Image

    pixels = np.round(image.astype("float64") * (255 / peak)).astype("uint8")
    stream = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(stream, "PNG")
    return _data_uri("image/png", stream.getvalue())


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
