"""The padding of a convolution in Keras, compared with that of torch.

Source: https://www.tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2, for `"same"`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from unikeras.interop._layer_places import Places
from unikeras.interop._weight_links import Place


def differing_padding(
    layer: Any, place: Place, places: Places, settings: Mapping[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    """Yield the padding of a layer and of its module where they differ.

    Args:
        layer: a convolution.
        place: where it stands.
        places: those of the model: a `ZeroPadding` before the layer counts as its padding.
        settings: those of the module.
    """
    padding = settings.get("padding")
    if isinstance(padding, str) or padding is None or layer.padding == "causal":
        return  # torch's "same" pads as Keras' does, and has no strides
    rank = len(layer.kernel_size)
    theirs = [(size, size) for size in _per_axis(padding, rank)]
    sizes = _sizes(layer, place, rank)
    strides, dilation = _per_axis(layer.strides, rank), _per_axis(layer.dilation_rate, rank)
    before = _padded_before(layer, places, rank)
    own: list[tuple[int, int] | None] = []
    for axis, size in enumerate(sizes):
        span = (layer.kernel_size[axis] - 1) * dilation[axis] + 1
        first, last = before[axis]
        if layer.padding == "same":
            added = _same(size, span, strides[axis])
            own.append(None if added is None else (first + added[0], last + added[1]))
        else:
            own.append((first, last))
    if None in own:
        yield "padding", "'same', which pads by the size of the input at strides", padding
        return
    for axis, pair in enumerate(own):
        assert pair is not None
        size = sizes[axis]
        span = (layer.kernel_size[axis] - 1) * dilation[axis] + 1
        if size is not None:
            size -= sum(before[axis])  # that of the tensor before its padding
        if not _is_equal(pair, theirs[axis], size, span, strides[axis]):
            yield "padding", f"{layer.padding!r}, here {own}", padding
            return


def _is_equal(
    own: tuple[int, int], theirs: tuple[int, int], size: int | None, span: int, stride: int
) -> bool:
    if size is None or own[0] != theirs[0]:
        return own == theirs
    # What is padded at the end may be more than any step reaches.
    mine, other = ((size + sum(pair) - span) // stride for pair in (own, theirs))
    return mine == other and (
        own[1] == theirs[1]
        or (size + own[0] - span) // stride == mine
        or _unread(size, own, theirs, span, stride, mine)
    )


def _unread(
    size: int, own: tuple[int, int], theirs: tuple[int, int], span: int, stride: int, steps: int
) -> bool:
    """Say whether the last step ends inside both paddings, which are zeros."""
    end = steps * stride + span
    return end <= own[0] + size + min(own[1], theirs[1])


def _same(size: int | None, span: int, stride: int) -> tuple[int, int] | None:
    if stride == 1:
        total = span - 1
    elif size is None:
        return None
    else:
        total = max((-(-size // stride) - 1) * stride + span - size, 0)
    return total // 2, total - total // 2


def _sizes(layer: Any, place: Place, rank: int) -> list[int | None]:
    shape = list(place.input_shape or [None] * (rank + 1))
    return shape[:-1] if layer.data_format == "channels_last" else shape[1:]


def _padded_before(layer: Any, places: Places, rank: int) -> list[tuple[int, int]]:
    makers = {id(tensor): node.operation for _, node in places.nodes for tensor in node.outputs}
    node = next((node for _, node in places.nodes if node.operation is layer), None)
    maker = None if node is None else makers.get(id(node.input_tensors[0]))
    if maker is None or not type(maker).__name__.startswith("ZeroPadding"):
        return [(0, 0)] * rank
    padding = maker.padding
    return [tuple(padding)] if rank == 1 else [tuple(pair) for pair in padding]


def _per_axis(value: Any, rank: int) -> tuple[int, ...]:
    return (value,) * rank if isinstance(value, int) else tuple(value)
