"""The export matrix: each model of tests/helpers/corpus, from each backend, to each format; docs/export_matrix.md.

python benchmarks/export_matrix.py --all
python benchmarks/export_matrix.py --part 3
python benchmarks/export_matrix.py --backends jax --formats onnx,litert --models mlp,cnn

Cells that are not run keep what the page says of them; the page is written anew after each model.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import click

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Operations this small wait longer for a second thread than it takes off them.
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from helpers import export_cells, export_table, rotation
from helpers.export_cells import BACKENDS, MODELS

from unikeras import workers
from unikeras.export.request.format_table import FORMATS


def _names(offered):
    def check(context, option, value):
        names = tuple(value.split(",")) if value else tuple(offered)
        if unknown := set(names) - set(offered):
            raise click.BadParameter(f"{', '.join(sorted(unknown))}; there are {', '.join(offered)}")
        return names

    return check


@click.command()
@click.option("--all", "whole", is_flag=True, help="Every cell; restricted by the options below, if given.")
@click.option(
    "--part", type=click.IntRange(0, rotation.PARTS - 1), help="What the tests run with this --part."
)
@click.option("--models", callback=_names(MODELS), help="Names with commas between.")
@click.option("--backends", callback=_names(BACKENDS), help="Names with commas between.")
@click.option("--formats", callback=_names(FORMATS), help="Names with commas between.")
@click.option("--missing", is_flag=True, help="Only models with a cell that the page does not tell of.")
@click.option("--page", type=click.Path(path_type=Path), default=export_table.PAGE, help="The page to write.")
def main(whole, part, models, backends, formats, missing, page):
    """Fill cells of the export matrix in, and write the page."""
    pairs = [(m, b) for b in BACKENDS for m in MODELS]
    if part is not None and not whole:
        taken = rotation.take(map(rotation.name_of, pairs), part)
        pairs = [pair for pair in pairs if rotation.name_of(pair) in taken]
    pairs = [(model, backend) for model, backend in pairs if model in models and backend in backends]
    for model, backend in sorted(pairs, key=lambda pair: BACKENDS.index(pair[1])):
        matrix = export_table.read(page)
        if missing and all((model, backend, format) in matrix for format in formats):
            continue
        start = time.perf_counter()
        cells = export_cells.run(model, backend, formats)
        matrix |= {(model, backend, format): cell for format, cell in cells.items()}
        export_table.write(matrix, page)
        failed = [f"\n    {format}: {cell.reason}" for format, cell in cells.items() if cell.reason]
        seconds = time.perf_counter() - start
        verified = len(cells) - len(failed)
        print(f"{backend} {model}: {verified} verified, {seconds:.1f} s{''.join(failed)}", flush=True)
    workers.shutdown()


if __name__ == "__main__":
    main()
