"""A graph as one page that needs nothing but itself, from the template graph.html.j2."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from unikeras._specs.graph_nodes import Graph
from unikeras.drawing._folded import bypass, detail_of, flat, is_hidden, label_of, opened
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
                "label": label_of(node),
                "operator": node.operator,
                "detail": detail_of(node),
                "scope": list(node.scope),
                "hidden": node.id in hidden,
            }
            for node in nodes
        ],
        "edges": [[edge.source, edge.target, edge.writes] for edge in edges],
        "folded": [[edge.source, edge.target, edge.writes] for edge in bypass(edges, hidden)],
        "open": [list(scope) for scope in sorted(opened(shown, MOST_OPEN))],
    }
