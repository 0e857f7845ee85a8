"""`unikeras convert` with a file of weights: the weights of a torch module in a saved Keras model."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from unikeras.errors import ArgumentValueError, OutputError


def convert_weights(
    weights: Path,
    into: Path | None,
    out: Path | None,
    pairs: tuple[str, ...],
    strict: bool,
    verify: str | None,
    overwrite: bool,
) -> Any:
    """Load weights into a saved model, save the result, and return the report.

    Raises:
        ArgumentValueError: an option is missing, or has a value that cannot be used.
        OutputError: there is something at `out`.
        WeightsMismatch: the weights do not fit.
        ParityError: the verification found a difference.
    """
    if into is None or out is None:
        missing = " and ".join(
            name
            for name, value in (("--into MODEL.keras", into), ("--out TRAINED.keras", out))
            if value is None
        )
        raise ArgumentValueError(
            f"a file of weights needs {missing}; module:function needs --example and --to"
        )
    mapping = _mapping(pairs)
    _check_out(out, overwrite)
    return _converted(weights, into, out, mapping, strict, verify)


def _mapping(pairs: tuple[str, ...]) -> dict[str, str | None]:
    odd = [pair for pair in pairs if "=" not in pair]
    if odd:
        raise ArgumentValueError(f"--map takes MODULE=LAYER; received {', '.join(odd)}")
    return {module: layer or None for module, _, layer in (pair.partition("=") for pair in pairs)}


def _check_out(out: Path, overwrite: bool) -> None:
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
    from unikeras.cli._named_functions import find_module
    from unikeras.export import load_keras

    with Console(stderr=True).status(f"loading {weights} into {into}"), hold_back_output():
        module = None if verify is None else find_module(verify)
        model = load_keras(into, uk.backend(), compiled=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the report has them
            report = uk.interop.load_state_dict(model, weights, mapping=mapping, strict=strict, verify=module)
        with written_atomically(out) as temporary:
            model.save(temporary)
    return report
