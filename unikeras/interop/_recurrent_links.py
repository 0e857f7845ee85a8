"""The weights of recurrent layers: torch has one tensor for each product, with its gates in its own order.

LSTM: input, forget, cell, output on both sides; torch has two biases, Keras their sum. GRU: torch has reset, update,
new; Keras update, reset, new, and both biases where `reset_after` is set.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import layers

from unikeras.interop._weight_links import Array, Link, Place, Rule, Shape, Unit

KINDS = {layers.LSTMCell: "LSTM", layers.GRUCell: "GRU", layers.SimpleRNNCell: "RNN"}
ONE_BIAS = "torch's two biases are one here: their sum comes in, and goes out beside zeros"
RESET_BEFORE = "reset_after=False resets the state before the product, which torch's GRU does after it"


def _recurrent(place: Place) -> list[Unit]:
    cell = place.layer.cell
    if not isinstance(cell, layers.StackedRNNCells):
        return [_unit(place.path, place.layer, [cell])]
    return [_unit(f"{place.path}/{one.name}", one, [one]) for one in cell.cells]


def _bidirectional(place: Place) -> list[Unit]:
    layer = place.layer
    cells = [getattr(way, "cell", None) for way in (layer.forward_layer, layer.backward_layer)]
    return [_unit(place.path, layer, cells)]


def _cell(place: Place) -> list[Unit]:
    return [_unit(place.path, place.layer, [place.layer])]


def _unit(path: str, layer: Any, cells: list[Any]) -> Unit:
    """Return the unit of one cell, or of a forward and a backward one."""
    kinds = [next((KINDS[kind] for kind in type(cell).__mro__ if kind in KINDS), "") for cell in cells]
    if not all(kinds):
        return Unit(
            path, "RNN", layer, refusal=f"has a cell {type(cells[0]).__name__}, which torch does not have"
        )
    if any(kind == "GRU" and not cell.reset_after for kind, cell in zip(kinds, cells, strict=True)):
        return Unit(path, "GRU", layer, refusal=RESET_BEFORE)
    links = tuple(
        link
        for cell, suffix in zip(cells, ("", "_reverse"), strict=False)
        for link in _links(cell, suffix, _update_first if kinds[0] == "GRU" else _same)
    )
    notes = (ONE_BIAS,) if cells[0].bias is not None and kinds[0] != "GRU" else ()
    return Unit(path, kinds[0], layer, links, notes=notes)


def _links(cell: Any, suffix: str, arrange: Callable[[Array], Array]) -> list[Link]:
    kernels = {"weight_ih": cell.kernel, "weight_hh": cell.recurrent_kernel}
    links = [
        Link.of_one(
            name + suffix,
            (int(kernel.shape[1]), int(kernel.shape[0])),
            kernel,
            lambda t: arrange(t.T),
            lambda k: arrange(k).T,
        )
        for name, kernel in kernels.items()
    ]
    return links if cell.bias is None else [*links, _biases(cell.bias, suffix, arrange)]


def _biases(bias: Any, suffix: str, arrange: Callable[[Array], Array]) -> Link:
    shape = (int(bias.shape[-1]),)
    tensors: dict[str, tuple[Shape, ...]] = {f"bias_ih{suffix}": (shape,), f"bias_hh{suffix}": (shape,)}
    if len(bias.shape) == 2:
        return Link(
            tensors,
            (bias,),
            lambda first, second: [np.stack([arrange(first), arrange(second)])],
            lambda both: [arrange(both[0]), arrange(both[1])],
        )
    return Link(
        tensors,
        (bias,),
        lambda first, second: [arrange(first + second)],
        lambda total: [arrange(total), np.zeros_like(total)],
    )


def _same(array: Array) -> Array:
    return array


def _update_first(array: Array) -> Array:
    """Change the places of the first two of three gates on the last axis; twice, and all is as it was."""
    first, second, new = np.split(array, 3, -1)
    return np.concatenate([second, first, new], -1)


RECURRENT_RULES: dict[type, Rule] = {
    **dict.fromkeys((layers.LSTM, layers.GRU, layers.SimpleRNN, layers.RNN), _recurrent),
    **dict.fromkeys((layers.LSTMCell, layers.GRUCell, layers.SimpleRNNCell), _cell),
    layers.Bidirectional: _bidirectional,
}
