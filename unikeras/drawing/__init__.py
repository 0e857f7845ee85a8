"""One neutral graph of what a backend runs, and its pictures: text, SVG, HTML."""

from unikeras._specs.graph_nodes import Edge, Graph, Node
from unikeras.drawing._drawing import Drawing
from unikeras.drawing._graph_request import graph

__all__ = ["Drawing", "Edge", "Graph", "Node", "graph"]
