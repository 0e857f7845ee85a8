"""Tables in HTML that a screen reader can follow."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape


class Markup(str):
    """Text that is HTML already; any other text is escaped."""


def bad(text: str) -> Markup:
    """Return text marked as a failure."""
    return Markup(f'<span class="bad-text">{escape(text)}</span>')


def table(name: str, heads: Sequence[str], rows: Sequence[Sequence[str]], note: str = "") -> str:
    """Return a table in a box that scrolls where the page is narrow.

    Args:
        name: what the table is, in a few words; no two tables of a page have the same.
        heads: the columns' titles; one that begins with "#" heads a column of numbers.
        rows: the first cell is the row's title; a row that is too short ends in one wide cell.
        note: what the columns mean, below the table.
    """
    titles = "".join(f'<th scope="col"{_number(head)}>{escape(head.lstrip("#"))}</th>' for head in heads)
    body = "\n".join(f"<tr>{_row(heads, row)}</tr>" for row in rows)
    return (
        f'<div class="scroll"><table class="data"><caption>{escape(name)}</caption>'
        f"<thead><tr>{titles}</tr></thead>\n<tbody>{body}</tbody></table></div>"
    ) + (f'<p class="note">{escape(note)}</p>' if note else "")


def _row(heads: Sequence[str], row: Sequence[str]) -> str:
    cells = [f'<th scope="row">{_text(row[0])}</th>']
    wide = len(heads) - len(row) + 1
    for number, cell in enumerate(row[1:], start=1):
        if number == len(row) - 1 and wide > 1:
            cells.append(f'<td colspan="{wide}">{_text(cell)}</td>')
        else:
            cells.append(f"<td{_number(heads[number])}>{_text(cell)}</td>")
    return "".join(cells)


def _number(head: str) -> str:
    return ' class="number"' if head.startswith("#") else ""


def _text(cell: str) -> str:
    return cell if isinstance(cell, Markup) else escape(cell)
