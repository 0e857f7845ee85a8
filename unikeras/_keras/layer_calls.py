"""The calls of a model's layers, seen while the model runs."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from unikeras._keras.graph import graph_of, is_graph
from unikeras._keras.patched import patched

# Takes the part, how to call it, and the call's arguments; returns what the caller gets.
Observer = Callable[["Part", Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]


@dataclass(frozen=True)
class Part:
    """A layer, or an operation of a graph, with its place in a model.

    Attributes:
        path: the names from the model to it, such as `"encoder/dense"`; "" for the model itself.
        operation: the layer or operation.
        parts: those inside it that are parts of their own; none inside a layer of Keras, which runs them as it likes.
        draws: whether it draws random numbers in training.
    """

    path: str
    operation: Any
    parts: tuple[Part, ...] = ()
    draws: bool = False

    @property
    def kind(self) -> str:
        """The name of its class."""
        return type(self.operation).__name__

    @property
    def is_layer(self) -> bool:
        """Whether it is a layer; a graph also has operations that are none."""
        import keras

        return isinstance(self.operation, keras.Layer)

    @property
    def takes_training(self) -> bool:
        """Whether its call has an argument `training`."""
        return bool(getattr(self.operation, "_call_has_training_arg", False))


def parts_of(model: Any) -> Part:
    """Return a model as a tree of its parts: models, the user's own layers, and layers of Keras as leaves.

    Args:
        model: a built `keras.Model`.
    """
    return _part("", model, set())


def walk(part: Part) -> Iterator[Part]:
    """Yield a part and all inside it, the inner ones first."""
    for inner in part.parts:
        yield from walk(inner)
    yield part


def _part(path: str, operation: Any, seen: set[int]) -> Part:
    seen.add(id(operation))
    inner = tuple(
        _part(f"{path}/{one.name}".lstrip("/"), one, seen)
        for one in _operations_in(operation)
        if id(one) not in seen
    )
    return Part(path, operation, inner, not inner and _draws(operation))


def _operations_in(operation: Any) -> list[Any]:
    """Return what a model or a layer of the user's consists of."""
    import keras

    if is_graph(operation):
        graph = graph_of(operation)
        return [one for one in getattr(graph, "operations", ()) if type(one).__name__ != "InputLayer"]
    is_own = isinstance(operation, keras.Layer) and not type(operation).__module__.startswith("keras.")
    if not is_own and not isinstance(operation, keras.Model):
        return []
    return [
        one
        for one in operation._flatten_layers(include_self=False, recursive=False)
        if not isinstance(one, keras.metrics.Metric)
    ]


def _draws(operation: Any) -> bool:
    import keras

    if not isinstance(operation, keras.Layer):
        return False
    return any(bool(layer._seed_generators) for layer in operation._flatten_layers())


@contextlib.contextmanager
def observed(root: Part, observer: Observer) -> Iterator[None]:
    """Let an observer make the calls of a model's parts that this thread makes in the block.

    Args:
        root: from `parts_of`.
        observer: called for each call of a part, the model's own too.
    """
    import keras

    known = {id(part.operation): part for part in walk(root)}

    def observing(of_layers: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        def make(call: Callable[..., Any]) -> Callable[..., Any]:
            def observe(operation: Any, *args: Any, **kwargs: Any) -> Any:
                part = known.get(id(operation))
                run = functools.partial(call, operation)
                # A layer's call ends in that of an operation, which is not another call.
                if part is None or part.is_layer != of_layers:
                    return run(*args, **kwargs)
                return observer(part, run, args, kwargs)

            return observe

        return make

    with (
        patched(keras.Layer, "__call__", observing(of_layers=True)),
        patched(keras.Operation, "__call__", observing(of_layers=False)),
    ):
        yield
