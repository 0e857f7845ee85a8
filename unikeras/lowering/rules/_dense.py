"""Dense layers and embeddings."""

from __future__ import annotations

from typing import Any

import torch
from keras import layers
from torch import nn

from unikeras.lowering._layer_call import Call
from unikeras.lowering._layouts import Value
from unikeras.lowering._rule_registry import rule
from unikeras.lowering._torch_weights import dtype, filled, weight
from unikeras.lowering.rules._activations import activate, described


def linear(layer: Any, kernel: Any, bias: Any) -> nn.Module:
    """Return `nn.Linear` with a kernel of shape (in, out)."""
    size_in, size_out = kernel.shape
    return filled(
        nn.Linear(size_in, size_out, bias=bias is not None, device="meta"),
        weight=weight(layer, kernel, lambda kernel: kernel.T),
        bias=weight(layer, bias),
    )


@rule(layers.Dense)
def _dense(call: Call) -> Value:
    product = call.module(lambda layer: linear(layer, layer.kernel, layer.bias))(call.x.plain)
    return activate(call, call.layer.activation, described(call, product))


@rule(layers.EinsumDense)
def _einsum_dense(call: Call) -> Value:
    layer = call.layer
    product = torch.einsum(layer.equation, call.x.plain, call.weight("weight", layer.kernel))
    if layer.bias is not None:
        product = product + call.weight("bias", layer.bias)
    return activate(call, layer.activation, described(call, product))


@rule(layers.Embedding)
def _embedding(call: Call) -> Value:
    ids = call.x.plain
    integral = call.x.dtype in ("int32", "int64")
    table = call.module(_table)(ids if integral else ids.to(torch.int32))
    result = described(call, table)
    if call.layer.mask_zero:
        result.mask = Value(ids != 0, shape=call.x.shape, dtype="bool")
    return result


def _table(layer: Any) -> nn.Module:
    rows, size = layer.embeddings.shape
    table = weight(layer, layer.embeddings, lambda table: table.to(dtype(layer.compute_dtype)))
    return filled(nn.Embedding(rows, size, device="meta"), weight=table)
