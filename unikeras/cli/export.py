"""unikeras export: a saved Keras model in other formats, each verified."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from unikeras.cli import _completions
from unikeras.cli._model_files import loaded


@click.command(
    epilog="""\b
Examples:
  unikeras export model.keras --to onnx,pt2
  unikeras export model.keras --to litert --out phone --report phone.html"""
)
@click.argument("model", type=click.Path(exists=True, path_type=Path), metavar="MODEL.keras")
@click.option(
    "--to",
    "formats",
    required=True,
    metavar="FORMATS",
    shell_complete=_completions.formats,
    help="Formats, separated by commas, such as onnx,pt2; `unikeras formats` lists them.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("out"),
    show_default=True,
    metavar="DIR",
    help="Output folder.",
)
@click.option(
    "--stateful",
    is_flag=True,
    help="Export a step: the states of recurrent layers become inputs and outputs.",
)
@click.option("--overwrite", is_flag=True, help="Replace earlier exports.")
@click.option("--no-verify", is_flag=True, help="Skip verification; the artifacts record that.")
@click.option("--opset", type=int, help="ONNX operator set version.")
@click.option(
    "--report",
    "report_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Save the report as .html or .json.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON to stdout.")
def export(
    model: Path,
    formats: str,
    out: Path,
    stateful: bool,
    overwrite: bool,
    no_verify: bool,
    opset: int | None,
    report_path: Path | None,
    as_json: bool,
) -> None:
    """Export a saved Keras model to other formats and verify each against the model.

    The artifacts are named after the file: DIR/MODEL.onnx and so on. Exit codes: 0 done; 1 a format
    failed, and those that succeeded are kept; 2 wrong use, or something required is not installed.
    """
    from unikeras.errors import ExportError
    from unikeras.export import check_formats

    # Before a framework is loaded.
    names = check_formats([name.strip() for name in formats.split(",") if name.strip()], verify=not no_verify)
    loaded, failure = _load(model, stateful), None
    try:
        report = _export(loaded, out, names, overwrite=overwrite, verify=not no_verify, opset=opset)
    except ExportError as error:
        if error.report is None:
            raise
        report, failure = error.report, error
    if report_path is not None:
        report.save(report_path)
    _show(report, as_json)
    if failure is not None:
        raise failure


def _load(path: Path, stateful: bool) -> Any:
    import unikeras as uk

    model = loaded(path)
    return uk.stateful(model) if stateful else model


def _export(model: Any, out: Path, formats: list[str], **options: Any) -> Any:
    from rich.console import Console

    import unikeras as uk
    from unikeras._base.output_streams import hold_back_output

    with Console(stderr=True).status(f"exporting {model.name} to {', '.join(formats)}"), hold_back_output():
        return uk.export_model(model, out, formats, **options)


def _show(report: Any, as_json: bool) -> None:
    if as_json:
        click.echo(report.to_json())
        return
    from rich.console import Console

    Console().print(report)
