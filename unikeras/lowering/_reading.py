"""What is read of Keras' graphs. These names of Keras are its own; nothing else in this room touches them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from unikeras.lowering._registry import Refusal


def is_model(layer: Any) -> bool:
    """Say whether a layer is a model whose graph Keras keeps, and whose call just follows it."""
    import keras
    from keras.src.models.functional import Functional

    return any(
        isinstance(layer, kind) and type(layer).call is kind.call for kind in (Functional, keras.Sequential)
    )


def readable(model: Any) -> Any:
    """Return the functional graph of a model.

    Raises:
        Refusal: it has none.
    """
    if not is_model(model):
        raise Refusal(
            "has a call() of its own, of which Keras keeps no graph; build it with keras.Sequential "
            "or keras.Model(inputs, outputs)"
        )
    graph = getattr(model, "_functional", model)
    if graph is None:
        raise Refusal("has no input shape yet; begin it with keras.Input, or call it once")
    return graph


def nodes(graph: Any) -> Iterator[Any]:
    """Yield a functional graph's nodes in the order in which Keras runs them."""
    for depth in sorted(graph._nodes_by_depth, reverse=True):
        yield from graph._nodes_by_depth[depth]
