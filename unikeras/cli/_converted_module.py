"""`unikeras convert` with a function that builds a torch module: the module in other formats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unikeras._base import optional
from unikeras.errors import ArgumentValueError, ExportError


@dataclass(frozen=True)
class Conversion:
    """What was done with a module.

    Attributes:
        imported: the report of the import.
        exported: the report of the export.
        failure: why formats are missing; None where all were written.
    """

    imported: Any
    exported: Any
    failure: ExportError | None

    def to_dict(self) -> dict[str, Any]:
        """Return both reports as data for JSON."""
        return {"import": self.imported.to_dict(), "export": self.exported.to_dict()}


def convert_module(
    function: str,
    examples: Sequence[str],
    formats: str | None,
    out: Path | None,
    dtype: str | None,
    dynamic: Sequence[str],
    verify: bool,
    overwrite: bool,
) -> Conversion:
    """Build a torch module, import it, and export it to formats.

    Args:
        function: `module:function`, or `module:variable` of a torch module.
        examples: `"1,3,224,224"` or `"1,16:int64"`, one for each input.
        formats: separated by commas.
        out: a folder, or the artifact's path where there is one format and the path has its suffix.
        dtype: of the examples that name none.
        dynamic: `"0,2:height,3:width"`, one for each input; none: axis 0 of each.
        verify: whether import and artifacts are verified.
        overwrite: whether earlier artifacts are replaced.

    Raises:
        ArgumentValueError: an option is missing, or has a value that cannot be used.
        MissingDependency: torch is not installed.
        UnikerasError: the module cannot be imported.
    """
    from unikeras.export import check_formats

    missing = [name for name, value in (("--example", examples), ("--to", formats)) if not value]
    if missing or formats is None:
        raise ArgumentValueError(
            f"a torch module needs {' and '.join(missing)}; a file of weights needs --into and --out"
        )
    # Before a framework is loaded.
    shapes = [_read_example(example, dtype) for example in examples]
    axes = _read_axes(dynamic, shapes)
    if not optional.is_installed("torch"):
        optional.require("torch", "torch", "unikeras convert module:function")
    names = check_formats([name.strip() for name in formats.split(",") if name.strip()], verify=verify)
    return _converted(function, shapes, names, out or Path("out"), axes, verify, overwrite)


def _read_example(text: str, dtype: str | None) -> tuple[tuple[int, ...], str]:
    sizes, _, own = text.partition(":")
    try:
        shape = tuple(int(size) for size in sizes.split(",") if size.strip())
    except ValueError:
        shape = (-1,)
    if not shape or min(shape) < 1:
        raise ArgumentValueError(
            f"--example takes sizes, such as 1,3,224,224 or 1,16:int64; received {text!r}"
        )
    return shape, own.strip() or dtype or "float32"


def _read_axes(
    texts: Sequence[str], shapes: Sequence[tuple[tuple[int, ...], str]]
) -> tuple[dict[int, str], ...] | None:
    if not texts:
        return None
    if len(texts) != len(shapes):
        raise ArgumentValueError(
            f"{len(texts)} times --dynamic, and {len(shapes)} inputs: each input needs its own"
        )
    axes = []
    for text, (shape, _) in zip(texts, shapes, strict=True):
        found = {}
        for part in (one for one in text.split(",") if one.strip() not in ("", "none")):
            axis, _, name = part.strip().partition(":")
            if not axis.isdigit() or int(axis) >= len(shape):
                raise ArgumentValueError(
                    f"--dynamic takes axes with names, such as 0:batch,1:length, or none; received {text!r} for an "
                    f"input with {len(shape)} axes"
                )
            found[int(axis)] = name
        axes.append(found)
    return tuple(axes)


def _converted(
    function: str,
    shapes: Sequence[tuple[tuple[int, ...], str]],
    formats: list[str],
    out: Path,
    axes: tuple[dict[int, str], ...] | None,
    verify: bool,
    overwrite: bool,
) -> Conversion:
    from rich.console import Console

    import unikeras as uk
    from unikeras._base.optional import require
    from unikeras._base.output_streams import hold_back_output
    from unikeras.cli._named_functions import find_module

    require("torch", "torch", "converting a torch module")
    with Console(stderr=True).status(f"importing {function}") as status, hold_back_output():
        module = find_module(function)
        model = uk.interop.from_torch(module, _example_tensors(shapes), dynamic=axes, verify=verify)
        status.update(f"exporting {model.name} to {', '.join(formats)}")
        path, target = _target(out, formats)
        failure = None
        try:
            report = uk.export_model(model, path, target, verify=verify, overwrite=overwrite)
        except ExportError as error:
            if error.report is None:
                raise
            report, failure = error.report, error
    return Conversion(model.import_report, report, failure)


def _target(out: Path, formats: list[str]) -> tuple[Path, Any]:
    """Return path and format as `export_model` takes them: one file where the path has a suffix."""
    return (out, formats[0]) if len(formats) == 1 and out.suffix else (out, formats)


def _example_tensors(shapes: Sequence[tuple[tuple[int, ...], str]]) -> tuple[Any, ...]:
    import numpy as np

    from unikeras.lowering import tensors_of

    rng = np.random.default_rng(0)
    arrays = {}
    for number, (shape, dtype) in enumerate(shapes):
        is_float = "float" in dtype
        values = rng.normal(size=shape) if is_float else rng.integers(0, 2, size=shape)
        arrays[str(number)] = values.astype(_numpy_dtype(dtype))
    return tuple(tensors_of(arrays).values())


def _numpy_dtype(name: str) -> Any:
    from unikeras._specs.signature import numpy_dtype

    try:
        return numpy_dtype(name)
    except TypeError as error:
        raise ArgumentValueError(
            f"{name!r} is no dtype; examples are float32, bfloat16, int64, bool"
        ) from error
