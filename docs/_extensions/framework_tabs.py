"""Cells that say the same thing in several frameworks, side by side: consecutive tagged cells become one set of tabs.

A cell with the tag `tensorflow`, `torch`, `jax` or `unikeras` is a tab of that name; several cells in a row with the
same tag share it. The choice is remembered and holds for all sets of a page, as sphinx-design's `sync-group` does it.
"""

from __future__ import annotations

from itertools import groupby, pairwise
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx_design.shared import create_component

FRAMEWORKS = {"tensorflow": "TensorFlow", "torch": "PyTorch", "jax": "JAX", "unikeras": "unikeras"}


class FrameworkTabs(SphinxTransform):
    """Groups the tagged cells of a page."""

    # After myst-nb made the cells, before sphinx-design makes HTML of tabs.
    default_priority = 450

    def apply(self, **_: Any) -> None:
        parents = {id(cell.parent): cell.parent for cell in self.document.findall(_is_tab)}
        for parent in parents.values():
            for cells in _runs(parent):
                parent.insert(parent.index(cells[0]), _tabs(cells))
                for cell in cells:
                    parent.remove(cell)


def framework_of(cell: Any) -> str | None:
    """Return the framework that a cell's tags name."""
    if not isinstance(cell, nodes.container):
        return None
    tags = (cell.get("cell_metadata") or {}).get("tags", [])
    return next((tag for tag in tags if tag in FRAMEWORKS), None)


def _is_tab(node: nodes.Node) -> bool:
    return framework_of(node) is not None


def _runs(parent: nodes.Element) -> list[list[nodes.Node]]:
    """Return the tagged cells of an element that follow one another."""
    runs: list[list[nodes.Node]] = []
    for before, node in pairwise([None, *parent.children]):
        if _is_tab(node):
            runs[-1].append(node) if before is not None and _is_tab(before) else runs.append([node])
    return runs


def _tabs(cells: list[nodes.Node]) -> nodes.Node:
    items = [_tab(framework, list(group)) for framework, group in groupby(cells, framework_of)]
    return create_component("tab-set", classes=["sd-tab-set", "frameworks"], children=items)


def _tab(framework: str, cells: list[nodes.Node]) -> nodes.Node:
    title = FRAMEWORKS[framework]
    label = nodes.rubric(title, "", nodes.Text(title), classes=["sd-tab-label"])
    label["sync_group"], label["sync_id"] = "framework", framework
    copies = [cell.deepcopy() for cell in cells]
    content = create_component("tab-content", classes=["sd-tab-content"], children=copies)
    return create_component("tab-item", classes=["sd-tab-item"], children=[label, content])


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the transform."""
    app.add_transform(FrameworkTabs)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
