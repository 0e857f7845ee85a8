"""What an export did, as data, as a table and as a page."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from unikeras._base.files import written_atomically
from unikeras._base.notebook_html import framed
from unikeras.errors import ArgumentValueError


@dataclass
class SkippedWriter:
    """An exporter that did not make the artifact, and why."""

    route: str
    reason: str


@dataclass
class ArtifactReport:
    """What happened to one artifact.

    Attributes:
        format: its format.
        path: where it stands, or was to stand.
        size: bytes on the disk; None where there is none.
        route: the toolchain that wrote it; None where none did.
        verified_at: the batch sizes at which it is equal to the model.
        max_error: the largest absolute difference seen there; None where nobody looked.
        rtol: the relative tolerance of that comparison; None where nobody looked.
        atol: the absolute one.
        remarks: what to know about it.
        passed_over: the exporters before it, and why they were skipped.
        seconds: how long the artifact took.
        error: why there is none; None where there is one.

    Example:
        >>> report = ArtifactReport("onnx", "model.onnx", error="onnx is not installed")
        >>> report.size is None, report.error
        (True, 'onnx is not installed')
    """

    format: str
    path: str
    size: int | None = None
    route: str | None = None
    verified_at: list[int] = field(default_factory=list)
    max_error: float | None = None
    rtol: float | None = None
    atol: float | None = None
    remarks: list[str] = field(default_factory=list)
    passed_over: list[SkippedWriter] = field(default_factory=list)
    seconds: float = 0.0
    error: str | None = None


@dataclass
class ExportReport:
    """What an export did; prints as a table.

    Attributes:
        model: the model's name.
        backend: the backend that it was on.
        artifacts: one entry per format asked for.

    Example:
        >>> report = ExportReport("mlp", "jax", [ArtifactReport("onnx", "mlp.onnx", 512, "tf2onnx")])
        >>> report.ok, report.to_dict()["artifacts"][0]["size"]
        (True, 512)
    """

    model: str
    backend: str
    artifacts: list[ArtifactReport] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every artifact was written."""
        return all(artifact.error is None for artifact in self.artifacts)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as data for JSON.

        Returns:
            Dicts, lists, strings and numbers only.
        """
        return asdict(self)

    def to_json(self) -> str:
        """Return the report as JSON.

        Returns:
            The text, indented by two spaces.
        """
        return json.dumps(self.to_dict(), indent=2)

    def save(self, path: str | Path) -> None:
        """Write the report as a page that needs nothing else (.html), or as data (.json).

        Args:
            path: where to; what stands there is replaced.

        Raises:
            ArgumentValueError: the suffix is another one.
            OutputError: the file cannot be written.
        """
        texts = {".html": self._page, ".json": self.to_json}
        render = texts.get(Path(path).suffix.lower())
        if render is None:
            raise ArgumentValueError(f"a report is saved as .html or .json; received {str(path)!r}")
        with written_atomically(path) as temporary:
            temporary.write_text(render(), encoding="utf-8")

    def __rich__(self) -> Any:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(title=self._title(), title_justify="left")
        for heading in HEADINGS[:-1]:
            table.add_column(heading, overflow="fold")
        notes = []
        for *row, note in self._rows():
            table.add_row(*map(Text, row))
            notes += [Text(f"{row[0]}: {line}") for line in note.splitlines()]
        return Group(table, *notes)

    def __str__(self) -> str:
        from rich.console import Console

        console = Console(file=io.StringIO(), width=120)
        console.print(self)
        return console.file.getvalue().rstrip()  # type: ignore[attr-defined]

    def _repr_html_(self) -> str:
        return framed(self._page(), 240)

    def _title(self) -> str:
        return f"export of {self.model} from {self.backend}"

    def _rows(self) -> Iterator[list[str]]:
        for artifact in self.artifacts:
            yield [
                artifact.format,
                artifact.path,
                "" if artifact.size is None else f"{artifact.size:,}",
                artifact.route or "none",
                ", ".join(map(str, artifact.verified_at)) or "not verified",
                "" if artifact.max_error is None else f"{artifact.max_error:.1e}",
                f"{artifact.seconds:.1f}",
                "\n".join(_notes(artifact)),
            ]

    def _page(self) -> str:
        from jinja2 import Environment, FileSystemLoader

        # Names of models, paths and errors of toolchains may hold anything: autoescape keeps them text.
        environment = Environment(
            loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True
        )
        page = environment.get_template("report.html.j2")
        return page.render(title=self._title(), headings=HEADINGS, rows=self._rows())


HEADINGS = ("format", "path", "bytes", "route", "equal at batch", "max error", "seconds", "notes")


def _notes(artifact: ArtifactReport) -> Iterator[str]:
    if artifact.error:
        yield artifact.error
        return
    yield from artifact.remarks
    for passed in artifact.passed_over:
        yield f"not by {passed.route}: {passed.reason}"
