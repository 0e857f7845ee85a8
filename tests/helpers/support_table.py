"""The table of exports in README.md, made from the results in docs/export_matrix.md, which the tests hold.

python tests/helpers/support_table.py     write it
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers import export_table
from helpers.export_cells import BACKENDS
from unikeras.export.request.format_table import FORMATS

PAGE = Path(__file__).parents[2] / "README.md"
BEGIN = "<!-- Written by `python tests/helpers/support_table.py`; do not edit the table. -->\n"
TITLES = {"tensorflow": "from TensorFlow", "torch": "from PyTorch", "jax": "from JAX"}


def table() -> str:
    """Return one row for each format: how many models of the tests leave each backend verified."""
    matrix = export_table.read()
    rows = [["format", *(TITLES[backend] for backend in BACKENDS)], ["---"] * (1 + len(BACKENDS))]
    for name in FORMATS:
        cells = [
            [cell for (_, b, f), cell in matrix.items() if (b, f) == (backend, name)] for backend in BACKENDS
        ]
        counts = (f"{sum(not cell.reason for cell in column)} of {len(column)} models" for column in cells)
        rows.append([f"`{name}`", *counts])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def written() -> str:
    """Return the table in the page."""
    return re.search(r"(?:\|.*\n)+", PAGE.read_text().partition(BEGIN)[2])[0]


if __name__ == "__main__":
    text = PAGE.read_text()
    PAGE.write_text(text.replace(BEGIN + written(), BEGIN + table()))
