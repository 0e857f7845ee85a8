"""What is read of Keras' graphs. These names of Keras are its own; few other places touch them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any


def is_graph(layer: Any) -> bool:
    """Say whether a layer is a model whose graph Keras keeps, and whose call just follows it."""
    import keras
    from keras.src.models.functional import Functional

    return any(
        isinstance(layer, kind) and type(layer).call is kind.call for kind in (Functional, keras.Sequential)
    )


def graph_of(model: Any) -> Any | None:
    """Return the functional graph of such a model; None for a Sequential that has no input shape yet."""
    return getattr(model, "_functional", model)


def inputs_of(model: Any) -> Any:
    """Return a model's symbolic inputs in their structure; a Sequential that was loaded has them in its graph only."""
    graph = graph_of(model) if is_graph(model) else None
    return (model if graph is None else graph).input


def layers_of(model: Any, example: Any) -> Any | None:
    """Return the functional graph of a model: its own, or that of a call with symbols.

    Args:
        model: a `keras.Model`.
        example: what one without a graph is called with, nested arrays or tensors of shape (batch, ...): a class with
            a call of its own, or a Sequential without an input shape. None for none.

    Returns:
        The graph; None where it has none and there is no example, or its call takes no symbols.
    """
    import keras

    own = graph_of(model) if is_graph(model) else None
    if own is not None or example is None:
        return own

    def symbol(array: Any) -> Any:
        return keras.Input(tuple(array.shape)[1:], dtype=keras.backend.standardize_dtype(array.dtype))

    try:
        inputs = keras.tree.map_structure(symbol, example)
        return graph_of(keras.Model(inputs, model.call(inputs)))
    except Exception:  # whatever the user's call does with a tensor that has no value
        return None


def replay(graph: Any, inputs: Any, call: Callable[..., Any]) -> Any:
    """Follow a functional graph on other inputs, with `call(layer, *args, **kwargs)` for each of its calls.

    Source: keras/src/models/cloning.py, whose clone_model does this, but wants no inputs beside the model's.

    Args:
        graph: from `graph_of`.
        inputs: in the structure of the graph's own.
        call: returns what stands for the layer's output.

    Returns:
        The outputs, in the graph's structure.
    """
    return graph._run_through_graph(inputs, call_fn=call)


def nodes(graph: Any) -> Iterator[Any]:
    """Yield a functional graph's nodes in the order in which Keras runs them."""
    for depth in sorted(graph._nodes_by_depth, reverse=True):
        yield from graph._nodes_by_depth[depth]


def renamed(layer: Any, name: str) -> Any:
    """Return a layer that is another one under a new name: the same variables and parts, but calls of its own."""
    other = object.__new__(type(layer))
    vars(other).update(vars(layer))
    vars(other).update(name=name, _inbound_nodes=[], _outbound_nodes=[])
    return other


def name_variables(variables: Sequence[Any], paths: Sequence[str]) -> None:
    """Give variables the paths that they had before they were saved: Keras leaves out the model's name as it loads."""
    for variable, path in zip(variables, paths, strict=True):
        variable._path = path


def mask_of(tensor: Any) -> Any | None:
    """Return the mask that Keras keeps beside a tensor; None where there is none."""
    from keras.src.backend.common.masking import get_keras_mask

    return get_keras_mask(tensor)


def set_mask(tensor: Any, mask: Any) -> None:
    """Keep a mask beside a tensor, as Keras does."""
    from keras.src.backend.common.masking import set_keras_mask

    set_keras_mask(tensor, mask)
