"""report.html: one page that needs nothing but itself, made of the report's data."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from unikeras.apps.demo import sections, tables
from unikeras.apps.demo.chart import Chart
from unikeras.apps.demo.data import Dataset


def render(report: dict[str, Any], charts: Sequence[Chart], data: Dataset, out: Path) -> str:
    """Return the page of a report.

    Args:
        report: from `unikeras.apps.demo.report.assemble`, completed by the run.
        charts: its curves.
        data: what it was trained on; the page shows some of the test images.
        out: the folder of the run's files, for the lines of code that go on from there.
    """
    room = resources.files("unikeras.apps.demo")
    names = [row["backend"] for row in report["backends"]]
    return Template((room / "page.html").read_text("utf-8")).substitute(
        style=(room / "page.css").read_text("utf-8"),
        title=f"One training loop, {_count(names)}",
        lead=_lead(report, names),
        verdict=_verdict(report),
        cards="\n".join(_cards(report)),
        backends=sections.backends(report),
        charts="\n".join(sections.figure(chart) for chart in charts if chart.curves)
        or sections.nothing("no training came to its end"),
        predictions=sections.predictions(report, data),
        artifacts=sections.artifacts(report),
        next=sections.go_on(report, data, out),
        versions=sections.versions(report),
    )


def _count(names: Sequence[str]) -> str:
    return f"on {names[0]}" if len(names) == 1 else f"{len(names)} backends"


def _lead(report: dict[str, Any], names: Sequence[str]) -> str:
    data = report["dataset"]
    size = " x ".join(map(str, data["shape"]))
    return escape(
        f"A small convolutional network, trained for {report['epochs']} epochs on {', '.join(names)} by one "
        f"hand-written loop, on {data['name']}: images of {size}, {data['train']:,} to train on, "
        f"{data['validation']:,} to choose the best checkpoint by, {data['test']:,} to test with."
    )


def _verdict(report: dict[str, Any]) -> str:
    if not report["failures"]:
        return (
            '<p class="verdict good">Done: every training, comparison and export that ran here succeeded.</p>'
        )
    items = "".join(f"<li>{escape(failure)}</li>" for failure in report["failures"])
    return f'<div class="verdict bad" role="alert">Not everything succeeded.<ul>{items}</ul></div>'


def _cards(report: dict[str, Any]) -> list[str]:
    cards = []
    best, agreement, rows = report["best"], report["loss_agreement"], report["artifacts"]
    if best and "test_accuracy" in best:
        whose = f"test accuracy of the best checkpoint: {best['backend']}, epoch {best['epoch']}"
        cards.append((tables.percent(best["test_accuracy"]), whose))
    if agreement:
        largest = tables.scientific(agreement["max_relative_difference"])
        within = f"first {agreement['steps']} steps (limit {agreement['limit']:g})"
        cards.append((largest, f"largest relative difference of the losses, {within}"))
    if rows:
        verified = sum(row["status"] == "verified" for row in rows)
        cards.append((f"{verified} of {len(rows)}", "formats written and verified"))
    cards.append((f"{report['seconds']:.0f} s", "from the first check to this page"))
    return [
        f'<div class="card"><b>{escape(big)}</b><span>{escape(small)}</span></div>' for big, small in cards
    ]
