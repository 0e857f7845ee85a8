"""The side of a torch module: its outputs and those of its leaves, in the layout of the Keras model beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from unikeras._base.text import brief
from unikeras.compare._gaps import Array, Tolerance, gap_between, largest
from unikeras.compare._matched_calls import match_outputs
from unikeras.compare._prepared_model import PreparedModel
from unikeras.compare._side_records import LayerCall, Sent, SideRun
from unikeras.errors import ArgumentValueError


def run_module_side(
    module: Any, prepared: PreparedModel, first: SideRun
) -> tuple[SideRun, list[tuple[int, int]]]:
    """Run a torch module on the samples as they are, and channels first where its outputs are nearer then.

    Args:
        module: a `torch.nn.Module`.
        prepared: the Keras model and its samples.
        first: the Keras model's run.

    Returns:
        The module's run, with calls that stand for calls of the first side, and which of them belong together.

    Raises:
        ArgumentValueError: in each layout it raises, or returns other shapes.
    """
    has_channels = any(array.ndim > 2 for array in prepared.samples.inputs)
    found, failures = [], []
    for layout in map(_Layout, (False, True) if has_channels else (None,)):
        try:
            outputs, calls = layout.run(module, prepared, first)
        except Exception as error:  # a module may raise anything
            failures.append(brief(error))
            continue
        excess = _excess(first.outputs, outputs, prepared.tolerance)
        found.append((excess, layout, outputs, calls))
        if excess <= 1:
            break
    if not found:
        raise ArgumentValueError(
            f"the torch module does not compute what {prepared.model.name!r} computes on the same inputs: "
            f"{failures[0]}" + (f"; channels first: {failures[1]}" if len(set(failures)) > 1 else "")
        )
    _, layout, outputs, calls = min(found, key=lambda one: one[0])
    notes = ["the torch module got its inputs channels first"] if layout.channels_first else []
    pairs, matched = match_outputs(first.calls, calls)
    if not pairs:
        notes.append(
            "the layers of the torch module could not be matched in order, so that only outputs are compared"
        )
    orders = _flat_orders(first.calls)
    own = []
    for (number, _), call in zip(pairs, matched, strict=True):
        arrays = [
            _in_order(
                layout.of_keras(array, expected, prepared.tolerance), expected, orders, prepared.tolerance
            )
            for array, expected in zip(call.outputs, first.calls[number].outputs, strict=False)
        ]
        own.append(LayerCall(call.path, 0, call.kind, None, arrays, True))
    return SideRun({}, outputs, own, notes=notes), pairs


class _Layout:
    """Where a torch module has the channels.

    Args:
        channels_first: whether its inputs have them first; None where its inputs have none.
    """

    def __init__(self, channels_first: bool | None) -> None:
        self.channels_first = channels_first

    def run(self, module: Any, prepared: PreparedModel, first: SideRun) -> tuple[list[Array], list[Any]]:
        """Return the outputs of a module in Keras' layout, and the calls of its leaves.

        Raises:
            Exception: whatever the module raises.
            ArgumentValueError: the outputs have other shapes than Keras'.
        """
        from unikeras.lowering import run_module

        inputs = prepared.samples.inputs
        if self.channels_first:
            inputs = [np.moveaxis(array, -1, 1) if array.ndim > 2 else array for array in inputs]
        outputs, calls = run_module(module, inputs)
        outputs = [
            self.of_keras(array, expected, prepared.tolerance)
            for array, expected in zip(outputs, first.outputs, strict=False)
        ]
        shapes, wanted = ([array.shape for array in side] for side in (outputs, first.outputs))
        if shapes != wanted:
            raise ArgumentValueError(f"its outputs have shapes {shapes}, not {wanted}")
        return outputs, calls

    def of_keras(self, array: Array, expected: Array, tolerance: Tolerance) -> Array:
        """Return an output of the module in Keras' layout, without or with axes of size 1.

        A module that takes its inputs channels first also returns them so, which equal sizes would not show. Where the
        inputs do not tell, the layout counts that is nearer.
        """
        moved = np.moveaxis(array, 1, -1) if array.ndim > 2 else array
        sizes = [size for size in expected.shape if size != 1]
        fitting = [
            one.reshape(expected.shape)
            for one in ((moved, array) if self.channels_first else (array, moved))
            if [size for size in one.shape if size != 1] == sizes
        ]
        if self.channels_first is None:
            fitting.sort(key=lambda one: _excess([expected], [one], tolerance))
        return fitting[0] if fitting else array


def _excess(expected: Sequence[Array], arrays: Sequence[Array], tolerance: Tolerance) -> float:
    """Return by how many times arrays are beyond the tolerance; at most 1 where they are equal."""
    pairs = zip(expected, arrays, strict=True)
    return largest(gap_between(one, other, tolerance) for one, other in pairs).excess


def _flat_orders(calls: Sequence[LayerCall]) -> list[Array]:
    """Return, for each image that the Keras model flattens or makes, where torch has its flat features.

    Keras flattens height, width and channels in this order; torch channels, height and width.
    """
    orders: list[Array] = []
    for call in calls:
        given = [leaf.array.shape[1:] for leaf in _leaves(call.arguments) if isinstance(leaf, Sent)]
        if call.kind in ("Flatten", "Reshape"):
            images = [*given, *(array.shape[1:] for array in call.outputs)]
            orders += [_flat_order(shape) for shape in images if len(shape) > 1]
        elif call.kind == "Concatenate" and all(len(shape) == 1 for shape in given):
            parts = [
                next((order for order in orders if order.size == size), np.arange(size)) for (size,) in given
            ]
            starts = np.cumsum([0, *map(len, parts)])
            orders.append(np.concatenate([one + part for one, part in zip(starts, parts, strict=False)]))
    return orders


def _flat_order(shape: tuple[int, ...]) -> Array:
    *spatial, channels = shape
    features = np.arange(np.prod(shape)).reshape(channels, *spatial)
    return np.moveaxis(features, 0, -1).reshape(-1)


def _leaves(structure: Any) -> list[Any]:
    import keras

    return list(keras.tree.flatten(structure))


def _in_order(array: Array, expected: Array, orders: Sequence[Array], tolerance: Tolerance) -> Array:
    """Return an output with its features in the one of these orders in which it is nearest to Keras'."""
    fitting = [order for order in orders if array.shape == expected.shape and order.size == array.shape[-1]]
    candidates = [array, *(array[..., order] for order in fitting)]
    return min(candidates, key=lambda one: _excess([expected], [one], tolerance))
