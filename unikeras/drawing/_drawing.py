"""What `uk.graph` returns: a graph, and its pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from unikeras._base.files import written_atomically
from unikeras._base.notebook_html import framed
from unikeras._specs.graph_nodes import Graph
from unikeras.drawing._folded import Folded, folded
from unikeras.errors import ArgumentValueError

_MOST_STILL = 40  # boxes that a notebook shows as a still picture; more are shown as the page that zooms
SUFFIXES = (".html", ".svg", ".txt", ".json")


class Drawing:
    """A graph as text, SVG or HTML; a notebook shows it, a large one as the page that zooms.

    Nodes that only cast, reshape or read are left out of the pictures; `graph` has all of them. Where many remain,
    text and SVG show the scopes instead of what is in them, and HTML opens with scopes closed.

    Args:
        graph: what is drawn.
        title: what it is, in words.

    Attributes:
        graph: the neutral graph: nodes with kind, operator, shape, dtype and scope, and edges.
        title: what it is, in words.

    Example:
        >>> import numpy as np, unikeras as uk
        >>> drawing = uk.graph(lambda x: x + x, np.ones(3, "float32"))
        >>> print(drawing.text.splitlines()[1].strip())
        argument 0: float32 (3,)
    """

    def __init__(self, graph: Graph, title: str) -> None:
        self.graph = graph
        self.title = title

    @property
    def text(self) -> str:
        """The graph for a terminal: one line for each node, with what it takes."""
        from unikeras.drawing._graph_text import graph_text

        return graph_text(self._seen(), self.title)

    @property
    def svg(self) -> str:
        """The graph as an SVG picture, laid out by graphviz where its `dot` is installed."""
        from unikeras.drawing._graph_picture import picture

        return picture(self._seen(), self.title)

    @property
    def html(self) -> str:
        """The graph as one page that needs nothing but itself: it pans, zooms, opens and closes scopes, searches."""
        from unikeras.drawing._graph_page import page

        return page(self.graph, self.title)

    def save(self, path: str | Path) -> Path:
        """Write the graph to a file, whose suffix chooses the form: .html, .svg, .txt or .json.

        Args:
            path: the file; one that is there is replaced.

        Returns:
            The path.

        Raises:
            ArgumentValueError: the suffix is another one.
        """
        path = Path(path)
        forms = dict(zip(SUFFIXES, ("html", "svg", "text", None), strict=True))
        if path.suffix.lower() not in forms:
            raise ArgumentValueError(
                f"a drawing is not written as {path.name!r}; the name must end in {', '.join(SUFFIXES)}"
            )
        form = forms[path.suffix.lower()]
        content = self.to_json() if form is None else getattr(self, form)
        with written_atomically(path) as temporary:
            temporary.write_text(content, encoding="utf-8")
        return path

    def to_dict(self) -> dict[str, Any]:
        """Return title and graph as data for JSON.

        Returns:
            Dictionaries, lists, texts and numbers only.
        """
        return {"title": self.title, **self.graph.to_dict()}

    def to_json(self) -> str:
        """Return title and graph as JSON.

        Returns:
            The text, indented by two spaces.
        """
        return json.dumps(self.to_dict(), indent=2)

    def _seen(self) -> Folded:
        return folded(self.graph)

    def _repr_html_(self) -> str:
        if len(self._seen().boxes) > _MOST_STILL:
            return framed(self.html, 640, scripts=True)
        return f'<div style="overflow:auto">{self.svg}</div>'

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"<drawing of {self.title}: {len(self.graph.nodes)} nodes>"
