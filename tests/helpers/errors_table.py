"""The table of docs/errors.md, made from unikeras/errors.py.

python tests/helpers/errors_table.py     write it
"""

from __future__ import annotations

import inspect
from pathlib import Path

from unikeras import errors

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"
MARK = "do not edit the table. -->\n"


def table() -> str:
    """Return one row for each public error: what it is also, what it means, what the command line exits with."""
    rows = ["| error | also a | meaning | exit code |", "|---|---|---|---|"]
    for name in errors.__all__:
        kind = getattr(errors, name)
        bases = ", ".join(f"`{base.__name__}`" for base in kind.__bases__ if base is not errors.UnikerasError)
        meaning = inspect.cleandoc(kind.__doc__).partition("\n\n")[0].replace("\n", " ").replace("|", r"\|")
        rows.append(f"| `{name}` | {bases} | {meaning} | {kind.cli_exit_code} |")
    return "\n".join(rows) + "\n"


def written() -> str:
    """Return the table that stands in the page."""
    return PAGE.read_text().partition(MARK)[2].strip() + "\n"


if __name__ == "__main__":
    head, mark, _ = PAGE.read_text().partition(MARK)
    PAGE.write_text(f"{head}{mark}\n{table()}")
