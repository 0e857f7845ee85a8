"""Download links at the head of each tutorial: the page as a notebook and as a script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jupytext
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

FORMATS = {".ipynb": "notebook", ".py": "script"}
FOLDER = "downloads"


class Downloads(SphinxTransform):
    """Puts the links under the title of a page that is a notebook."""

    default_priority = 460

    def apply(self, **_: Any) -> None:
        page = self.env.docname
        title = next(iter(self.document.findall(nodes.title)), None)
        if title is None or not _is_notebook(Path(self.env.doc2path(page))):
            return
        up = "../" * page.count("/")
        links: list[nodes.Node] = [nodes.Text("Download: ")]
        for suffix, name in FORMATS.items():
            target = f"{up}{FOLDER}/{page}{suffix}"
            links += [nodes.reference("", name, refuri=target, internal=False), nodes.Text(" · ")]
        line = nodes.paragraph("", "", *links[:-1], classes=["downloads"])
        title.parent.insert(title.parent.index(title) + 1, line)


def _is_notebook(path: Path) -> bool:
    return path.suffix == ".md" and "{code-cell}" in path.read_text(encoding="utf-8")


def write_downloads(app: Sphinx, error: Exception | None) -> None:
    """Write each notebook page in both formats, without outputs."""
    if error is not None or app.builder.format != "html":
        return
    for page in app.env.found_docs:
        source = Path(app.env.doc2path(page))
        if not _is_notebook(source):
            continue
        notebook = jupytext.read(source, fmt="md:myst")
        for suffix in FORMATS:
            target = Path(app.outdir) / FOLDER / f"{page}{suffix}"
            target.parent.mkdir(parents=True, exist_ok=True)
            jupytext.write(notebook, target)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the transform and the writer."""
    app.add_transform(Downloads)
    app.connect("build-finished", write_downloads)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
