"""The sections of report.html, each made of its part of the report."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from unikeras.apps.demo import elements, outputs, tables
from unikeras.apps.demo.chart import Chart, svg
from unikeras.apps.demo.data import Dataset
from unikeras.apps.demo.pictures import confusion, samples


def backends(report: dict[str, Any]) -> str:
    """Return the table of the backends, and how far apart they are."""
    heads = ("backend", "#test accuracy", "#ms/step", "#first step, ms", "#max |Δ probability|")
    rows = [
        [
            row["backend"],
            tables.percent(row["test_accuracy"]),
            tables.fixed(row["ms_per_step"]),
            tables.whole(row["ms_first_step"]),
            tables.scientific(row["max_probability_difference"]),
        ]
        if row["error"] is None
        else [row["backend"], elements.bad(row["error"].splitlines()[0])]
        for row in report["backends"]
    ]
    note = (
        "Test accuracy at the end of training. ms/step: median, without the first step, which holds the "
        "compilation. max |Δ probability|: the largest difference to another backend of a class's predicted "
        "probability on a test image; the weights are equal at first, and rounding grows over the steps."
    )
    return elements.table("What each backend reached", heads, rows, note) + _agreement(report)


def _agreement(report: dict[str, Any]) -> str:
    agreement = report["loss_agreement"]
    if agreement is None:
        return ""
    compared = (
        escape(tables.agreeing(agreement))
        if agreement["agree"]
        else elements.bad(tables.disagreement(agreement))
    )
    return f"<p>In numbers: {compared}; {escape(tables.predictions(report))}.</p>"


def figure(chart: Chart) -> str:
    """Return a chart with its heading and legend."""
    only = " only" if len(chart.curves) == 1 else ""
    entries = "".join(
        '<li><svg viewBox="0 0 34 8" aria-hidden="true">'
        f'<path class="line line-{n}" d="M0 4H34"/></svg>{escape(name)}</li>'
        for n, name in enumerate(chart.curves)
    )
    return (
        f'<figure class="chart{only}"><h3>{escape(chart.title)}</h3>{svg(chart)}'
        f'<figcaption><ul class="legend">{entries}</ul></figcaption></figure>'
    )


def predictions(report: dict[str, Any], data: Dataset) -> str:
    """Return the confusion matrix of the best checkpoint, and test images."""
    best = report["best"]
    if not best or "confusion" not in best:
        return nothing("there is no checkpoint to predict with")
    return (
        '<div class="predictions">'
        f"<div>{confusion(best['confusion'], data.classes)}</div>"
        f"<div><h3>Test images, the wrong ones first</h3>{samples(best['samples'], data)}</div></div>"
    )


def artifacts(report: dict[str, Any]) -> str:
    """Return the table of the exported models."""
    if not report["artifacts"]:
        return nothing("nothing was exported")
    heads = ("artifact", "format", "#size", "route", "#verified at", "#max error")
    rows = [
        [
            row["path"],
            row["format"],
            tables.size(row["size"]),
            row["route"],
            ", ".join(map(str, row["verified_at"])),
            tables.scientific(row["max_error"]),
        ]
        if row["status"] == "verified"
        else ["-", row["format"], elements.bad(f"{row['status']}: {row['error'].splitlines()[0]}")]
        for row in report["artifacts"]
    ]
    note = (
        "Each artifact was run in its own runtime at these batch sizes and compared with the model. "
        "max error: the largest difference of an output from the model's."
    )
    return elements.table("What was written", heads, rows, note)


def go_on(report: dict[str, Any], data: Dataset, out: Path) -> str:
    """Return the lines of code that go on from an artifact, and from the checkpoint."""
    verified = [row["path"] for row in report["artifacts"] if row["status"] == "verified"]
    if not verified:
        return nothing("there is no artifact to load")
    load, images = data.example or ("import numpy as np", f'np.zeros({(5, *data.shape)}, "float32")')
    code = (
        f"{load}\nimport unikeras as uk\n\nartifact = uk.load_artifact({verified[-1]!r})\n"
        f"print(artifact.predict({images}).argmax(-1))"
    )
    return (
        "<p>Run an artifact in its own runtime; it takes images with pixels from 0 to 1 and gives logits:</p>"
        f"<pre><code>{escape(code)}</code></pre>"
        f"<p>Train it further: <code>keras.saving.load_model({str(out / outputs.CHECKPOINT)!r})</code>. "
        "On your own images, one sub-folder a class: "
        '<code class="short">unikeras demo --data FOLDER</code>.</p>'
    )


def versions(report: dict[str, Any]) -> str:
    """Return the table of the versions."""
    rows = [[name, version] for name, version in report["versions"].items()]
    return elements.table("What took part", ("what", "version"), rows)


def nothing(why: str) -> str:
    """Return a section that says why it is empty."""
    return f'<p class="note">Nothing to show: {escape(why)}.</p>'
