"""Every tutorial and guide that is a notebook runs from top to bottom, twice, on every backend."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import unikeras as uk

ROOT = Path(__file__).parents[2] / "docs"
CELL = re.compile(
    r"^```\{code-cell\}[^\n]*\n(?P<options>(?::[^\n]*\n)*)(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)
PAGES = {
    str(path.relative_to(ROOT)): path
    for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("*/*.md")])
    if CELL.search(path.read_text(encoding="utf-8"))
}


def run(page: str, cells: list[str], folder: str) -> None:
    """Run the cells in one namespace, in a folder."""
    import contextlib
    import linecache

    import matplotlib

    matplotlib.use("agg")
    shared: dict = {"__name__": "__main__", "display": lambda *_: None}
    with contextlib.chdir(folder):
        for number, cell in enumerate(cells):
            name = f"{page}, cell {number}"
            # TensorFlow's autograph reads the source of functions, which a notebook has.
            linecache.cache[name] = (len(cell), None, cell.splitlines(keepends=True), name)
            exec(compile(cell, name, "exec"), shared)


@pytest.mark.rotated("page", "backend", parts=8)
@pytest.mark.parametrize("backend", uk.backends.available())
@pytest.mark.parametrize("page", PAGES)
def test_the_page_runs(page, backend, tmp_path, request):
    cells = [found["code"] for found in CELL.finditer(PAGES[page].read_text(encoding="utf-8"))]
    folder = tmp_path / Path(page).parent  # beside the measurements, as in docs/
    folder.mkdir(exist_ok=True)
    (tmp_path / "measurements").symlink_to(ROOT / "measurements")
    for _ in range(2 if request.config.getoption("--all") else 1):
        uk.run_on(backend, run, page, cells, str(folder), timeout=300)


@pytest.mark.parametrize("page", [page for page in PAGES if page.startswith("tutorials/")])
def test_the_page_begins_and_ends_as_all_do(page):
    text = PAGES[page].read_text(encoding="utf-8")
    assert re.search(r"^After this page you can ", text, re.MULTILINE)
    assert text.count('<details class="exercise">') == 2
