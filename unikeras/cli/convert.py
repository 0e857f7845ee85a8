"""unikeras convert: the weights of a torch module in a saved Keras model."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("weights", type=click.Path(path_type=Path), metavar="WEIGHTS")
@click.option(
    "--into",
    required=True,
    type=click.Path(exists=True, path_type=Path),
    metavar="MODEL.keras",
    help="The saved Keras model that takes the weights; it is not changed.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="TRAINED.keras",
    help="Where the model with the weights is saved.",
)
@click.option(
    "--map",
    "pairs",
    multiple=True,
    metavar="MODULE=LAYER",
    help="Which layer takes the weights of a torch module; MODULE= leaves the module out. May be repeated.",
)
@click.option("--no-strict", is_flag=True, help="Assign the weights that fit; the report lists the others.")
@click.option(
    "--verify",
    metavar="MODULE:FUNCTION",
    help="A function that returns the torch module with these weights; the outputs of all layers are compared.",
)
@click.option("--overwrite", is_flag=True, help="Replace what is at --out.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON to stdout.")
def convert(
    weights: Path,
    into: Path,
    out: Path,
    pairs: tuple[str, ...],
    no_strict: bool,
    verify: str | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Load the weights of a torch module into a saved Keras model and save the result.

    WEIGHTS is a .safetensors file, the .index.json of several or their folder, or a .pt file of a state_dict. Exit
    codes: 0 done; 1 the weights do not fit, or the verification found a difference; 2 wrong use, or something required
    is not installed. Nothing is written after an error.
    """
    mapping = _mapping(pairs)
    _check_out(out, overwrite)
    report = _converted(weights, into, out, mapping, not no_strict, verify)
    if as_json:
        click.echo(report.to_json())
        return
    from rich.console import Console

    Console().print(report)


def _mapping(pairs: tuple[str, ...]) -> dict[str, str | None]:
    from unikeras.errors import ArgumentValueError

    odd = [pair for pair in pairs if "=" not in pair]
    if odd:
        raise ArgumentValueError(f"--map takes MODULE=LAYER; received {', '.join(odd)}")
    return {module: layer or None for module, _, layer in (pair.partition("=") for pair in pairs)}


def _check_out(out: Path, overwrite: bool) -> None:
    from unikeras.errors import ArgumentValueError, OutputError

    if out.suffix.lower() != ".keras":
        raise ArgumentValueError(f"--out must end in .keras; received {str(out)!r}")
    if out.exists() and not overwrite:
        raise OutputError(f"{out} exists; --overwrite replaces it")


def _converted(
    weights: Path, into: Path, out: Path, mapping: dict[str, str | None], strict: bool, verify: str | None
) -> Any:
    from rich.console import Console

    import unikeras as uk
    from unikeras._base.files import written_atomically
    from unikeras._base.output_streams import hold_back_output
    from unikeras.export import load_keras

    with Console(stderr=True).status(f"loading {weights} into {into}"), hold_back_output():
        module = None if verify is None else _module_of(verify)
        model = load_keras(into, uk.backend(), compiled=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the report has them
            report = uk.interop.load_state_dict(model, weights, mapping=mapping, strict=strict, verify=module)
        with written_atomically(out) as temporary:
            model.save(temporary)
    return report


def _module_of(argument: str) -> Any:
    from unikeras.cli._named_functions import find_function

    found = find_function(argument)
    return found if hasattr(found, "parameters") else found()
