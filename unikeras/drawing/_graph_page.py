"""A graph as one page that needs nothing but itself, from the template graph.html.j2."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from unikeras._specs.graph_nodes import Graph, Node
from unikeras.drawing._folded import bypass, detail_of, flat, is_hidden
from unikeras.drawing._graph_picture import COLORS

MOST_OPEN = 60  # boxes that a page opens with


def page(graph: Graph, title: str) -> str:
    """Return the page."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )
    # Inside a script element nothing is unescaped by the browser; only "<" could end it.
    data = json.dumps(_data(graph)).replace("<", "\\u003c")
    return environment.get_template("graph.html.j2").render(title=title, colors=COLORS, data=Markup(data))


def _data(graph: Graph) -> dict[str, Any]:
    nodes, edges = flat(graph)
    hidden = {node.id for node in nodes if is_hidden(node)}
    shown = [node for node in nodes if node.id not in hidden]
    return {
        "nodes": [
            {
                "id": node.id,
                "kind": node.kind,
                "name": node.name,
                "operator": node.operator,
                "detail": detail_of(node),
                "scope": list(node.scope),
                "hidden": node.id in hidden,
            }
            for node in nodes
        ],
        "edges": [[edge.source, edge.target, edge.writes] for edge in edges],
        "folded": [[edge.source, edge.target, edge.writes] for edge in bypass(edges, hidden)],
        "open": [list(scope) for scope in _opened(shown)],
    }


def _opened(nodes: list[Node]) -> list[tuple[str, ...]]:
    """Return the scopes that are open at first: the outer ones, level by level, as long as the page stays small."""
    opened: list[tuple[str, ...]] = []
    for depth in range(1, max((len(node.scope) for node in nodes), default=0) + 1):
        seen = {node.scope[: depth + 1] if len(node.scope) > depth else node.id for node in nodes}
        if len(seen) > MOST_OPEN:
            break
        opened += dict.fromkeys(node.scope[:depth] for node in nodes if len(node.scope) >= depth)
    return opened
