"""Which call of one model's layers belongs to which of the other's."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from unikeras.compare._gaps import Array
from unikeras.compare._side_records import LayerCall

if TYPE_CHECKING:
    from unikeras.lowering import ModuleCall


def match_calls(first: Sequence[LayerCall], second: Sequence[LayerCall]) -> list[tuple[int, int]]:
    """Return the pairs of numbers of calls that belong together, in order.

    The same names pair up in whatever order they come. Otherwise calls pair up by order where there are equally many;
    where there are not, the longest runs of equal classes pair up, and between them runs of equal length.

    Args:
        first: the calls of the first side.
        second: those of the second.

    Example:
        >>> a, b = (LayerCall(path, 0, "Dense", None, [], True) for path in ("a", "b"))
        >>> match_calls([a, b], [b, a])
        [(0, 1), (1, 0)]
    """
    places = {call.name: number for number, call in enumerate(second)}
    if len(first) == len(second):
        if {call.name for call in first} == places.keys():
            return [(number, places[call.name]) for number, call in enumerate(first)]
        return [(number, number) for number in range(len(first))]
    matcher = SequenceMatcher(None, [call.kind for call in first], [call.kind for call in second], False)
    return [
        (a, b)
        for _, begin, end, other_begin, other_end in matcher.get_opcodes()
        if end - begin == other_end - other_begin
        for a, b in zip(range(begin, end), range(other_begin, other_end), strict=True)
    ]


def match_outputs(
    first: Sequence[LayerCall], second: Sequence[ModuleCall]
) -> tuple[list[tuple[int, int]], list[ModuleCall]]:
    """Match the layers of a Keras model with the leaves of a torch module, by order and by the sizes of their outputs.

    Layers that only drop, reshape or return their inputs are left out on both sides. Where the torch module has more
    leaves, an activation function counts as part of the leaf before it.

    Args:
        first: the calls of the Keras model.
        second: those of the torch module.

    Returns:
        Pairs of a number in `first` and one in the second list, and that list: the torch module's calls that belong to
        a layer. Both empty where the sequences do not fit each other.
    """
    mine = [number for number, call in enumerate(first) if call.is_leaf and not _only_moves(call.kind)]
    theirs = [call for call in second if not _only_moves(call.kind)]
    for found in (theirs, _with_activations(theirs)):
        if len(found) == len(mine) and all(
            _sizes(first[a].outputs) == _sizes(call.outputs) for a, call in zip(mine, found, strict=True)
        ):
            return [(a, number) for number, a in enumerate(mine)], found
    return [], []


def _only_moves(kind: str) -> bool:
    return (
        kind in ("Flatten", "Reshape", "Unflatten", "Permute", "Identity", "InputLayer") or "Dropout" in kind
    )


def _with_activations(calls: Sequence[ModuleCall]) -> list[ModuleCall]:
    found: list[ModuleCall] = []
    for call in calls:
        if call.is_activation and found and not found[-1].is_activation:
            found.pop()
        found.append(call)
    return found


def _sizes(outputs: Sequence[Array]) -> list[list[int]]:
    return [sorted(size for size in array.shape if size != 1) for array in outputs]
