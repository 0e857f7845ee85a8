"""unikeras convert: weights of a torch module into a Keras model, or a torch module into other formats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from unikeras.cli import _completions


@click.command(
    epilog="\b\nExamples:\n"
    "  unikeras convert weights.safetensors --into model.keras --out trained.keras\n"
    "  unikeras convert net:build --example 1,3,224,224 --to onnx,litert"
)
@click.argument("source", metavar="SOURCE", shell_complete=_completions.files)
@click.option(
    "--into",
    type=click.Path(exists=True, path_type=Path),
    metavar="MODEL.keras",
    help="Weights: the saved Keras model that takes them; it is not changed.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Weights: where the trained .keras file is saved. Module: the folder of the artifacts, out by default, or "
    "the file of one.",
)
@click.option(
    "--map",
    "pairs",
    multiple=True,
    metavar="MODULE=LAYER",
    help="Weights: which layer takes those of a torch module; MODULE= leaves the module out. May be repeated.",
)
@click.option(
    "--no-strict", is_flag=True, help="Weights: assign those that fit; the report lists the others."
)
@click.option(
    "--verify",
    metavar="MODULE:FUNCTION",
    help="Weights: a function that returns the torch module with them; the outputs of all layers are compared.",
)
@click.option(
    "--example",
    "examples",
    multiple=True,
    metavar="SIZES[:DTYPE]",
    help="Module: the shape of an input, such as 1,3,224,224 or 1,16:int64. Once for each input, in order.",
)
@click.option(
    "--to",
    "formats",
    metavar="FORMATS",
    shell_complete=_completions.formats,
    help="Module: formats, separated by commas, such as onnx,litert; `unikeras formats` lists them.",
)
@click.option(
    "--dtype", metavar="DTYPE", help="Module: the dtype of examples that name none; float32 by default."
)
@click.option(
    "--dynamic",
    multiple=True,
    metavar="AXES",
    help="Module: the axes of any size, such as 0:batch,1:length, or none. Once for each input; by default axis 0.",
)
@click.option("--no-verify", is_flag=True, help="Module: skip verification; the artifacts record that.")
@click.option("--overwrite", is_flag=True, help="Replace what is at --out.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON to stdout.")
def convert(source: str, as_json: bool, overwrite: bool, **options: Any) -> None:
    """Load weights of a torch module into a saved Keras model, or export a torch module to other formats.

    SOURCE is a file of weights: .safetensors, the .index.json of several or their folder, or a .pt file of a
    state_dict. Or it is module:function, a function without arguments that returns the torch module, which is imported
    and run. Exit codes: 0 done; 1 the work failed, or a verification found a difference; 2 wrong use, or something
    required is not installed.
    """
    from unikeras.cli._named_functions import is_function

    if is_function(source):
        _refuse(source, options, ("into", "pairs", "no_strict", "verify"))
        _export(source, as_json, overwrite, options)
        return
    _refuse(source, options, ("examples", "formats", "dtype", "dynamic", "no_verify"))
    _load(_file(source), as_json, overwrite, options)


_FLAGS = {
    "pairs": "--map",
    "examples": "--example",
    "formats": "--to",
    "no_strict": "--no-strict",
    "no_verify": "--no-verify",
}


def _refuse(source: str, options: dict[str, Any], names: tuple[str, ...]) -> None:
    """Raise where options were given that belong to the other kind of source."""
    from unikeras.errors import ArgumentValueError

    given = [_FLAGS.get(name, f"--{name}") for name in names if options[name]]
    if given:
        kind = "weights" if "into" in names else "module:function"
        raise ArgumentValueError(f"{', '.join(given)} is for {kind}, and {source} is none")


def _file(source: str) -> Path:
    from unikeras.errors import ArtifactNotFound

    path = Path(source)
    if not path.exists():
        raise ArtifactNotFound(f"there is no file {source!r}, and it is no module:function")
    return path


def _load(weights: Path, as_json: bool, overwrite: bool, options: dict[str, Any]) -> None:
    from unikeras.cli._converted_weights import convert_weights

    report = convert_weights(
        weights,
        options["into"],
        options["out"],
        options["pairs"],
        not options["no_strict"],
        options["verify"],
        overwrite,
    )
    if as_json:
        click.echo(report.to_json())
    else:
        _print(report)


def _export(function: str, as_json: bool, overwrite: bool, options: dict[str, Any]) -> None:
    from unikeras.cli._converted_module import convert_module

    done = convert_module(
        function,
        options["examples"],
        options["formats"],
        options["out"],
        options["dtype"],
        options["dynamic"],
        not options["no_verify"],
        overwrite,
    )
    if as_json:
        click.echo(json.dumps(done.to_dict(), indent=2))
    else:
        _print(done.imported, done.exported)
    if done.failure is not None:
        raise done.failure


def _print(*reports: Any) -> None:
    from rich.console import Console

    for report in reports:
        Console().print(report)
