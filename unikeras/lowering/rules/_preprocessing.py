"""Preprocessing of numbers: rescaling, resizing, encodings."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import torch
from keras import layers
from torch.nn import functional

from unikeras import backends
from unikeras.lowering import _torch_weights as _weights
from unikeras.lowering._layer_call import Call
from unikeras.lowering._layouts import Layout, Value
from unikeras.lowering._rule_registry import rule
from unikeras.lowering.rules._activations import described


@rule(layers.Rescaling)
def _rescaling(call: Call) -> Value:
    kind = _weights.dtype(call.layer.compute_dtype)
    scale, offset = (np.asarray(number) for number in (call.layer.scale, call.layer.offset))
    if scale.ndim == offset.ndim == 0 and call.trains:
        return _scaled(call, float(scale), float(offset))
    if scale.ndim == offset.ndim == 0:
        return call.x.map(lambda x: x.to(kind) * float(scale) + float(offset))
    last = keras.config.image_data_format() == "channels_last"
    call.refuse_unless(last, "scales each of several channels, which come first")
    factor, shift = (
        call.constant(_weights.tensor(a.astype("float64")).to(kind), name)
        for a, name in ((scale, "scale"), (offset, "offset"))
    )
    return described(call, call.x.plain.to(kind) * factor + shift)


def _scaled(call: Call, scale: float, offset: float) -> Value:
    """Scale and shift, without what changes nothing."""
    kind = call.layer.compute_dtype
    value = call.x if call.x.dtype == kind else call.x.map(lambda x: x.to(_weights.dtype(kind)))
    value = value if scale == 1 else value.map(lambda x: x * scale)
    return value if offset == 0 else value.map(lambda x: x + offset)


@rule(layers.Resizing)
def _resizing(call: Call) -> Value:
    layer, layout = call.layer, Layout.of(call.layer.data_format)
    plain = not (layer.crop_to_aspect_ratio or layer.pad_to_aspect_ratio or layer.antialias)
    call.refuse_unless(plain, "crops, pads or antialiases")
    modes = {"bilinear": "bilinear", "nearest": "nearest-exact"}
    call.refuse_unless(layer.interpolation in modes, f"interpolates by {layer.interpolation!r}")
    mode = modes[layer.interpolation]
    corners = {"align_corners": False} if mode == "bilinear" else {}
    x = call.x.to(layout).to(_weights.dtype(layer.compute_dtype))
    resized = functional.interpolate(x, size=(layer.height, layer.width), mode=mode, **corners)
    if call.x.dtype.startswith(("int", "uint")) and backends.current().resize_rounds_integers:
        limits = torch.iinfo(_weights.dtype(call.x.dtype))
        resized = torch.clamp(torch.round(resized), limits.min, limits.max)
    return described(call, resized, layout)


@rule(layers.CategoryEncoding)
def _category_encoding(call: Call) -> Value:
    weights = call.kwargs.get("count_weights")
    call.refuse_unless(weights is None or call.x.rank > 1, "weighs counts of single tokens")
    weights = None if weights is None else call.value(weights).plain
    layer = call.layer
    return _encoded(call, call.x.plain, layer.output_mode, layer.num_tokens, layer.compute_dtype, weights)


@rule(layers.Discretization)
def _discretization(call: Call) -> Value:
    layer = call.layer
    edges = call.constant(torch.tensor(list(map(float, layer.bin_boundaries)), dtype=torch.float32), "edges")
    # A sum of comparisons is what torch.bucketize computes, and every exporter knows it.
    bins = (call.x.plain.float().unsqueeze(-1) >= edges).to(torch.int32).sum(-1, dtype=torch.int32)
    if layer.output_mode == "int":
        return described(call, bins.to(_weights.dtype(call.outputs[0].dtype)))
    return _encoded(call, bins, layer.output_mode, len(layer.bin_boundaries) + 1, call.outputs[0].dtype)


def _encoded(call: Call, indices: Any, mode: str, depth: int, dtype: str, weights: Any = None) -> Value:
    """Encode integers as `keras.utils.numerical_utils.encode_categorical_inputs` does."""
    kind = _weights.dtype(dtype)
    classes = call.constant(torch.arange(depth), "classes")
    rank = call.x.rank
    hot = (indices.long().unsqueeze(-1) == classes).to(kind)
    if mode == "one_hot":
        # A last axis of size 1 is the category itself.
        return described(call, hot.squeeze(-2) if rank > 1 and call.x.shape[-1] == 1 else hot)
    if rank == 1 or (rank > 1 and len(call.outputs[0].shape) == rank + 1):
        return described(call, hot)
    if mode == "multi_hot":
        return described(call, torch.amax(hot, -2))
    hot = hot if weights is None else hot * weights.to(kind).unsqueeze(-1)
    return described(call, hot.sum(-2))
