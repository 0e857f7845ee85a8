"""Operations of keras.ops that work along axes: reductions, products, and what moves axes about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from keras.src.ops import core, linalg, math, nn, numpy
from torch.nn import functional

from unikeras.lowering import _torch_weights as _weights
from unikeras.lowering._layer_call import Call
from unikeras.lowering._layouts import Layout, Value, common_layout, physical_axis
from unikeras.lowering._rule_registry import rule
from unikeras.lowering.rules._activations import described, sparsemax

REDUCTIONS: dict[type, Callable[..., Any]] = {
    math.Logsumexp: torch.logsumexp,
    numpy.Amax: torch.amax,
    numpy.Amin: torch.amin,
    numpy.Max: torch.amax,
    numpy.Mean: torch.mean,
    numpy.Min: torch.amin,
    numpy.Std: lambda x, axes, keepdim: torch.std(x, axes, correction=0, keepdim=keepdim),
    numpy.Sum: torch.sum,
    numpy.Var: lambda x, axes, keepdim: torch.var(x, axes, correction=0, keepdim=keepdim),
}

LOGICAL: dict[type, Callable[..., Any]] = {numpy.All: torch.amin, numpy.Any: torch.amax}

ALONG: dict[type, Callable[[Any, int], Any]] = {
    nn.Glu: functional.glu,
    nn.LogSoftmax: torch.log_softmax,
    nn.Softmax: torch.softmax,
    nn.Sparsemax: sparsemax,
}


def _axes(call: Call, axis: Any) -> tuple[list[int], list[int]]:
    """Return the axes of a reduction in Keras' order, and where they lie."""
    rank = call.x.rank
    axes = range(rank) if axis is None else [axis] if isinstance(axis, int) else axis
    plain = sorted(one % rank for one in axes)
    return plain, [call.x.axis(one) for one in plain]


def _reduced(call: Call, proxy: Any, keepdims: bool, plain: list[int]) -> Value:
    """Say how a reduced tensor lies: channels first still, where all axes but those in between stay."""
    rank = call.x.rank
    stays = keepdims or call.x.layout is Layout.PLAIN or plain == list(range(1, rank - 1))
    if not stays:
        return Value(proxy)
    layout = call.x.layout if keepdims else Layout.PLAIN
    return described(call, proxy, layout)


@rule(*REDUCTIONS)
def _reduction(call: Call) -> Value:
    op, dtype = call.layer, call.outputs[0].dtype
    plain, lying = _axes(call, op.axis)
    x = _source(call, plain, op.keepdims)
    lying = lying if x is call.x.own else plain
    x = x if call.x.dtype == dtype else x.to(_weights.dtype(dtype))
    result = REDUCTIONS[type(op)](x, lying, keepdim=op.keepdims)
    result = result.to(_weights.dtype(dtype)) if "int" in dtype else result
    if getattr(op, "initial", None) is not None:
        bound = (
            torch.clamp(result, min=op.initial)
            if type(op) is numpy.Max
            else torch.clamp(result, max=op.initial)
        )
        result = bound
    return _reduced(call, result, op.keepdims, plain)


def _source(call: Call, plain: list[int], keepdims: bool) -> Any:
    """Return the tensor to reduce: as it lies, where that leaves the other axes in order."""
    x = call.x
    if x.order is not None:
        return x.plain
    if x.layout is Layout.PLAIN or keepdims or plain == list(range(1, x.rank - 1)):
        return x.own
    return x.plain


@rule(*LOGICAL)
def _logical(call: Call) -> Value:
    op = call.layer
    plain, _ = _axes(call, op.axis)
    result = LOGICAL[type(op)](call.x.plain.bool().to(torch.int32), plain, keepdim=op.keepdims)
    return described(call, result.bool())


@rule(numpy.Argmax, numpy.Argmin)
def _argument(call: Call) -> Value:
    op, x = call.layer, call.x.plain
    function = torch.argmax if type(op) is numpy.Argmax else torch.argmin
    axis = op.axis
    if axis is None:
        call.refuse_unless(not op.keepdims, "looks for one place among all axes and keeps them")
        return described(call, function(x.flatten(), 0).to(torch.int32))
    return described(call, function(x, axis, keepdim=op.keepdims).to(_weights.dtype(call.outputs[0].dtype)))


@rule(*ALONG)
def _along(call: Call) -> Value:
    axis = call.layer.axis
    call.refuse_unless(isinstance(axis, int), f"runs along several axes {axis}")
    value = _in_keras_order(call.x)
    return value.map(lambda x: ALONG[type(call.layer)](x, value.axis(axis)))


def _in_keras_order(value: Value) -> Value:
    """Return a value whose features lie in Keras' order."""
    if value.order is None:
        return value
    return Value(value.plain, shape=value.shape, dtype=value.dtype)


@rule(numpy.Cumsum)
def _cumsum(call: Call) -> Value:
    call.refuse_unless(call.layer.axis is not None, "sums over all axes at once")
    kind = _weights.dtype(call.outputs[0].dtype)
    value = _in_keras_order(call.x)
    return value.map(lambda x: torch.cumsum(x, value.axis(call.layer.axis), dtype=kind))


@rule(numpy.Concatenate)
def _concatenate(call: Call) -> Value:
    values = call.values
    layout = common_layout(values)
    kind = call.outputs[0].dtype
    tensors = [v.to(layout) if v.dtype == kind else v.to(layout).to(_weights.dtype(kind)) for v in values]
    return described(call, torch.cat(tensors, physical_axis(call.layer.axis, values[0].rank, layout)), layout)


@rule(numpy.Stack)
def _stack(call: Call) -> Value:
    return described(call, torch.stack([value.plain for value in call.values], call.layer.axis))


@rule(numpy.Matmul)
def _matmul(call: Call) -> Value:
    x, y = (call.value(argument) for argument in [*call.args, *call.kwargs.values()][:2])
    kind = _weights.dtype(call.outputs[0].dtype)
    return described(call, torch.matmul(x.plain.to(kind), y.plain.to(kind)))


@rule(numpy.Dot)
def _dot(call: Call) -> Value:
    x, y = (call.value(argument) for argument in [*call.args, *call.kwargs.values()][:2])
    if y.rank > 1:
        return described(call, torch.tensordot(x.plain, y.plain, dims=([x.rank - 1], [y.rank - 2])))
    return described(call, torch.matmul(x.plain, y.plain))


@rule(numpy.Einsum)
def _einsum(call: Call) -> Value:
    operands = [call.value(argument).plain for argument in call.args]
    return described(call, torch.einsum(call.layer.subscripts, *operands))


@rule(numpy.Reshape)
def _reshape(call: Call) -> Value:
    shape = call.layer.newshape
    sizes = [call.value(size).plain if isinstance(size, Value) else size for size in shape]
    sizes = [-1 if size is None else size for size in sizes]
    call.refuse_unless(sizes.count(-1) < 2, f"has a shape with several open sizes {tuple(shape)}")
    return described(call, call.x.plain.reshape(*sizes))


@rule(numpy.Ravel)
def _ravel(call: Call) -> Value:
    return described(call, call.x.plain.flatten())


@rule(numpy.Transpose)
def _transpose(call: Call) -> Value:
    return described(call, call.x.plain.permute(*(call.layer.axes or reversed(range(call.x.rank)))))


@rule(numpy.Swapaxes)
def _swapaxes(call: Call) -> Value:
    return described(call, call.x.plain.transpose(call.layer.axis1, call.layer.axis2))


@rule(numpy.Moveaxis)
def _moveaxis(call: Call) -> Value:
    return described(call, torch.movedim(call.x.plain, call.layer.source, call.layer.destination))


@rule(numpy.ExpandDims)
def _expand_dims(call: Call) -> Value:
    axes = [call.layer.axis] if isinstance(call.layer.axis, int) else call.layer.axis
    result = call.x.plain
    rank = call.x.rank + len(axes)
    for axis in sorted(one % rank for one in axes):
        result = result.unsqueeze(axis)
    return described(call, result)


@rule(numpy.Squeeze)
def _squeeze(call: Call) -> Value:
    axis = call.layer.axis
    axes = [n for n, size in enumerate(call.x.shape) if size == 1] if axis is None else axis
    axes = (axes,) if isinstance(axes, int) else tuple(axes)
    return described(call, call.x.plain.squeeze(axes))


@rule(numpy.GetItem)
def _get_item(call: Call) -> Value:
    key = call.argument(1, "key")
    key = tuple(key) if isinstance(key, list) else key
    parts = key if isinstance(key, tuple) else (key,)
    known = all(part is None or part is Ellipsis or isinstance(part, int | slice) for part in parts)
    call.refuse_unless(known, "indexes with a tensor")
    steps = [part.step or 1 for part in parts if isinstance(part, slice)]
    call.refuse_unless(all(step > 0 for step in steps), "slices backwards")
    return described(call, call.x.plain[parts])


@rule(numpy.Split)
def _split(call: Call) -> list[Value]:
    op = call.layer
    x, axis = call.x.plain, op.axis
    sizes = [out.shape[axis] for out in call.outputs]
    call.refuse_unless(None not in sizes, "splits an axis of open size")
    parts = torch.split(x, sizes, axis)
    return [Value(parts[number]) for number in range(len(sizes))]


@rule(core.Unstack)
def _unstack(call: Call) -> list[Value]:
    parts = torch.unbind(call.x.plain, call.layer.axis)
    return [Value(parts[number]) for number in range(len(call.outputs))]


@rule(numpy.Repeat)
def _repeat(call: Call) -> Value:
    op = call.layer
    call.refuse_unless(
        isinstance(op.repeats, int) and op.axis is not None, "repeats parts by different numbers"
    )
    return described(call, torch.repeat_interleave(call.x.plain, op.repeats, dim=op.axis))


@rule(numpy.Tile)
def _tile(call: Call) -> Value:
    repeats = call.layer.repeats
    return described(
        call, torch.tile(call.x.plain, (repeats,) if isinstance(repeats, int) else tuple(repeats))
    )


@rule(numpy.Flip)
def _flip(call: Call) -> Value:
    plain, _ = _axes(call, call.layer.axis)
    return described(call, torch.flip(call.x.plain, plain))


@rule(numpy.Pad)
def _pad(call: Call) -> Value:
    op = call.layer
    value = call.argument(1, "constant_values") or 0
    call.refuse_unless(op.mode == "constant" and isinstance(value, int | float), f"pads by {op.mode!r}")
    width = op.pad_width
    pairs = [(width, width)] * call.x.rank if isinstance(width, int) else [tuple(pair) for pair in width]
    pairs = pairs * call.x.rank if len(pairs) == 1 else pairs
    return described(
        call, functional.pad(call.x.plain, [n for pair in reversed(pairs) for n in pair], value=float(value))
    )


@rule(numpy.Take)
def _take(call: Call) -> Value:
    indices = call.value(call.argument(1, "indices"))
    axis = call.layer.axis
    call.refuse_unless(axis is not None, "takes from all axes at once")
    x, axis = call.x.plain, axis % call.x.rank
    size = call.x.shape[axis]
    places = indices.plain.long()
    if size is not None:
        places = torch.where(places < 0, places + size, places)
    taken = torch.index_select(x, axis, places.flatten())
    if indices.rank == 1:
        return described(call, taken)
    if indices.rank == 0:
        return described(call, taken.squeeze(axis))
    call.refuse_unless(axis == 0 or None not in indices.shape, "takes at places of open shape")
    open_sizes = [-1 if n == 0 and indices.shape[0] is None else s for n, s in enumerate(indices.shape)]
    return described(call, taken.unflatten(axis, open_sizes))


@rule(nn.OneHot)
def _one_hot(call: Call) -> Value:
    op = call.layer
    call.refuse_unless(op.axis in (-1, call.x.rank), f"puts the classes at axis {op.axis}")
    classes = call.constant(torch.arange(op.num_classes), "classes")
    hot = call.x.plain.long().unsqueeze(-1) == classes
    return described(call, hot.to(_weights.dtype(call.outputs[0].dtype)))


@rule(nn.Normalize)
def _normalize(call: Call) -> Value:
    op, x = call.layer, call.x
    call.refuse_unless(
        op.order == 2 and isinstance(op.axis, int), "normalizes by another norm than the Euclidean"
    )
    along = x.axis(op.axis)
    most = 1 / (op.epsilon or 1e-12)
    return x.map(lambda p: p * torch.rsqrt(torch.square(p).sum(along, keepdim=True)).clamp(max=most))


@rule(linalg.Norm)
def _norm(call: Call) -> Value:
    op = call.layer
    axes = (op.axis,) if isinstance(op.axis, int) else tuple(op.axis or ())
    call.refuse_unless(op.ord in (None, 2) and len(axes) == 1, "is another norm than that of vectors")
    return described(call, torch.linalg.vector_norm(call.x.plain, 2, axes, keepdim=op.keepdims))
