"""What autograd recorded of eager code, as a neutral graph: operations by `grad_fn`, from the leaves to a tensor."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import torch

from unikeras._specs.graph_nodes import Graph, GraphBuilder, scope_of

_LEAF = "AccumulateGrad"
_BOOKKEEPING = (
    "Alias",
    "Clone",
    "Expand",
    "Permute",
    "ReshapeAlias",
    "Squeeze",
    "T",
    "ToCopy",
    "UnsafeView",
    "Unsqueeze",
    "View",
)


def autograd_graph(tensor: torch.Tensor) -> Graph | None:
    """Return the graph that computed a tensor; None where autograd recorded none."""
    if tensor.grad_fn is None:
        return None
    builder = GraphBuilder()
    places: dict[Any, str] = {}
    for function in _in_order(tensor.grad_fn):
        name = function.name().rpartition("::")[2]
        if name.endswith(_LEAF):
            places[function] = _add_leaf(builder, function.variable)
            continue
        inputs = [places[before] for before, _ in function.next_functions if before is not None]
        short = name.partition("Backward")[0]
        places[function] = builder.add(
            "operation", short, inputs, operator=name, is_bookkeeping=short in _BOOKKEEPING
        )
    builder.add("output", "result 0", [places[tensor.grad_fn]], **_described(tensor))
    return builder.build()


def _in_order(last: Any) -> Iterator[Any]:
    """Yield autograd's nodes, each behind those that it takes from."""
    waiting: list[tuple[Any, bool]] = [(last, False)]
    done: set[Any] = set()
    while waiting:
        function, is_ready = waiting.pop()
        if is_ready:
            yield function
        elif function not in done:
            done.add(function)
            waiting.append((function, True))
            waiting += [
                (before, False) for before, _ in reversed(function.next_functions) if before is not None
            ]


def _add_leaf(builder: GraphBuilder, tensor: torch.Tensor) -> str:
    path = _path(tensor)
    if path is None:
        return builder.add("input", "watched tensor", **_described(tensor))
    return builder.add("variable", path, **_described(tensor), scope=scope_of(path)[:-1])


def _path(tensor: torch.Tensor) -> str | None:
    """Return the path of the Keras variable that holds a tensor; a tensor does not know it."""
    import keras

    for holder in gc.get_referrers(tensor):
        for owner in (holder, *(gc.get_referrers(holder) if isinstance(holder, dict) else ())):
            if isinstance(owner, keras.Variable):
                return str(owner.path)
    return None


def _described(tensor: torch.Tensor) -> dict[str, Any]:
    return {"shape": tuple(tensor.shape), "dtype": str(tensor.dtype).removeprefix("torch.")}
