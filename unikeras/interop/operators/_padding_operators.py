"""Padding with a value, by reflection, by the border and around a circle; negative widths crop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from keras import ops

from unikeras.interop.operators._arrays import cut, shape
from unikeras.interop.operators._rules import register_operator
from unikeras.interop.operators._windows import widen


def _pairs(widths: Sequence[int]) -> list[tuple[int, int]]:
    """Return torch's widths, which begin with the last axis, axis by axis."""
    return [(widths[k], widths[k + 1]) for k in range(len(widths) - 2, -1, -2)]


@register_operator("aten.constant_pad_nd")
def pad_with_value(x: Any, widths: Sequence[int], value: Any = 0) -> Any:
    return widen(x, _pairs(widths), value)


@register_operator("aten.reflection_pad1d", "aten.reflection_pad2d", "aten.reflection_pad3d")
def pad_by_reflection(x: Any, widths: Sequence[int]) -> Any:
    def ends(x: Any, axis: int, before: int, after: int) -> tuple[Any, Any]:
        last = slice(-after - 1, -1)
        return ops.flip(cut(x, axis, slice(1, before + 1)), axis), ops.flip(cut(x, axis, last), axis)

    return _pad_with_ends(x, widths, ends)


@register_operator("aten.replication_pad1d", "aten.replication_pad2d", "aten.replication_pad3d")
def pad_with_border(x: Any, widths: Sequence[int]) -> Any:
    def ends(x: Any, axis: int, before: int, after: int) -> tuple[Any, Any]:
        edges = (cut(x, axis, slice(0, 1)), before), (cut(x, axis, slice(-1, None)), after)
        first, last = (
            ops.broadcast_to(edge, [count if k == axis else size for k, size in enumerate(shape(edge))])
            for edge, count in edges
        )
        return first, last

    return _pad_with_ends(x, widths, ends)


@register_operator("aten._pad_circular")
def pad_around(x: Any, widths: Sequence[int]) -> Any:
    first = len(x.shape) - len(widths) // 2
    for axis, (before, after) in enumerate(_pairs(widths), first):
        # What is cropped does not come back at the other end.
        x = widen(x, [(min(before, 0), min(after, 0)), *[(0, 0)] * (len(x.shape) - axis - 1)])
        parts = [cut(x, axis, slice(-before, None))] if before > 0 else []
        parts += [x, *([cut(x, axis, slice(None, after))] if after > 0 else [])]
        x = ops.concatenate(parts, axis)
    return x


def _pad_with_ends(x: Any, widths: Sequence[int], ends: Callable[..., tuple[Any, Any]]) -> Any:
    """Put something before and after each axis, and crop where a width is negative."""
    pairs = _pairs(widths)
    for axis, (before, after) in enumerate(pairs, len(x.shape) - len(pairs)):
        start, end = ends(x, axis, max(before, 0), max(after, 0))
        x = ops.concatenate([*([start] if before > 0 else []), x, *([end] if after > 0 else [])], axis)
    return widen(x, [(min(before, 0), min(after, 0)) for before, after in pairs])


_MODES = {"reflect": pad_by_reflection, "replicate": pad_with_border, "circular": pad_around}


@register_operator("aten.pad")
def pad(x: Any, widths: Sequence[int], mode: str = "constant", value: Any = None) -> Any:
    if mode == "constant":
        return pad_with_value(x, widths, 0 if value is None else value)
    return _MODES[mode](x, widths)
