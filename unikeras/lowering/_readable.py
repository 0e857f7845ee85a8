"""The graph of a model that is lowered."""

from __future__ import annotations

from typing import Any

from unikeras._keras.graph import graph_of, is_graph
from unikeras.lowering._call_refusal import Refusal


def readable(model: Any) -> Any:
    """Return the functional graph of a model.

    Raises:
        Refusal: it has none.
    """
    if not is_graph(model):
        raise Refusal(
            "has a call() of its own, of which Keras keeps no graph; build it with keras.Sequential "
            "or keras.Model(inputs, outputs)"
        )
    graph = graph_of(model)
    if graph is None:
        raise Refusal("has no input shape yet; begin it with keras.Input, or call it once")
    return graph
