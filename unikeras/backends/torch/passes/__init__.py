"""Passes over one graph of ATen operators: what Keras and autograd leave in it and a program does not need.

A pass is a function that changes a graph in place and returns how many nodes it removed or changed. None changes
a result, except the ones in `REORDERS`: they may sum in another order.

A graph comes from `make_fx` over fake tensors: placeholders first, operators with fake values in `meta["val"]`, writes
in place where the traced code wrote in place. Its inputs keep the shapes and strides with which it was traced.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from torch.fx import Graph

from unikeras.backends.torch.passes._buffers import reuse_buffers
from unikeras.backends.torch.passes._constants import fold_constants
from unikeras.backends.torch.passes._copies import (
    drop_casts,
    drop_copies,
    drop_layout_copies,
    transpose_copies,
)
from unikeras.backends.torch.passes._in_place import write_in_place as write_in_place
from unikeras.backends.torch.passes._matrices import bias_into_convolution, bias_into_product, single_products
from unikeras.backends.torch.passes._memory import Memory as Memory
from unikeras.backends.torch.passes._outputs import restore_strides, strides_of_outputs
from unikeras.backends.torch.passes._subexpressions import drop_dead_code, merge_common
from unikeras.backends.torch.passes._views import compose_permutes, compose_views, drop_detach

_PASSES: dict[str, Callable[[Graph], int]] = {
    "detach": drop_detach,
    "copies": drop_copies,
    "casts": drop_casts,
    "permutes": compose_permutes,
    "views": compose_views,
    "constants": fold_constants,
    "common": merge_common,
    "layout_copies": drop_layout_copies,
    "single_products": single_products,
    "convolution_bias": bias_into_convolution,
    "product_bias": bias_into_product,
    "dead_code": drop_dead_code,
}
# Written over memory tells the other passes less: once, at the end.
_LAST: dict[str, Callable[[Graph], int]] = {"transposed_copies": transpose_copies, "buffers": reuse_buffers}

NAMES = (*_PASSES, *_LAST)
REORDERS = frozenset(("layout_copies", "single_products", "convolution_bias", "product_bias"))


def simplify(graph: Graph, skip: Collection[str] = ()) -> dict[str, int]:
    """Run the passes until nothing changes.

    Args:
        graph: it is changed in place; its module must be recompiled.
        skip: names of passes that must not run.

    Returns:
        What each pass removed or changed, for those that found something.
    """
    counts = dict.fromkeys(NAMES, 0)
    strides = strides_of_outputs(graph)
    changed = True
    while changed:
        changed = False
        for name, change in _PASSES.items():
            found = 0 if name in skip else change(graph)
            counts[name] += found
            changed = changed or found > 0
    restore_strides(graph, strides)
    for name, change in _LAST.items():
        counts[name] = 0 if name in skip else change(graph)
    graph.lint()
    return {name: count for name, count in counts.items() if count}
