"""Dense layers and embeddings."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from keras import layers
from torch import nn

from unikeras.lowering._layer_call import Call
from unikeras.lowering._layouts import Value
from unikeras.lowering._rule_registry import rule
from unikeras.lowering._torch_weights import dtype, filled, weight
from unikeras.lowering.rules._activations import activate, described


def linear(layer: Any, kernel: Any, bias: Any, orders: tuple[Any, Any] = (None, None)) -> nn.Module:
    """Return `nn.Linear` with a kernel of shape (in, out), for features in other orders than Keras'."""
    size_in, size_out = kernel.shape
    rows, columns = (slice(None) if order is None else np.argsort(order) for order in orders)
    return filled(
        nn.Linear(size_in, size_out, bias=bias is not None, device="meta"),
        weight=weight(layer, kernel, lambda kernel: kernel[rows][:, columns].T),
        bias=weight(layer, bias, lambda bias: bias[columns]),
    )


@rule(layers.Dense)
def _dense(call: Call) -> Value:
    given, order = call.graph.orders(call.layer)
    module = call.module(lambda layer: linear(layer, layer.kernel, layer.bias, (given, order)))
    product = described(call, module(call.x.plain if call.x.rank > 2 else call.x.features(given)))
    product.order = order
    return activate(call, call.layer.activation, product)


def _is_linear(layer: Any) -> bool:
    """Say whether an equation is that of `nn.Linear` over the last axes, with several axes as one."""
    given, _, rest = layer.equation.replace("...", "").replace(" ", "").partition(",")
    kernel, _, out = rest.partition("->")
    inner = "".join(letter for letter in kernel if letter in given and letter not in out)
    outer = "".join(letter for letter in kernel if letter in out and letter not in given)
    bias = layer.bias is None or "".join(layer.bias_axes) == outer
    shared = given.removesuffix(inner)
    return bool(
        inner
        and outer
        and bias
        and kernel == inner + outer
        and given == shared + inner
        and out == shared + outer
    )


def _as_linear(call: Call) -> Value:
    layer = call.layer
    kernel = layer.equation.partition("->")[0].partition(",")[2].strip()
    outer = [letter for letter in kernel if letter in layer.equation.partition("->")[2]]
    count = len(kernel) - len(outer)

    def build(layer: Any) -> nn.Module:
        shape = layer.kernel.shape
        size_in, size_out = math.prod(shape[:count]), math.prod(shape[count:])
        return filled(
            nn.Linear(size_in, size_out, bias=layer.bias is not None, device="meta"),
            weight=weight(layer, layer.kernel, lambda kernel: kernel.reshape(size_in, size_out).T),
            bias=weight(layer, layer.bias, lambda bias: bias.flatten()),
        )

    x = call.x.plain
    product = call.module(build)(x if count == 1 else x.flatten(-count))
    split = product if len(outer) == 1 else product.unflatten(-1, tuple(layer.kernel.shape[count:]))
    return activate(call, layer.activation, described(call, split))


@rule(layers.EinsumDense)
def _einsum_dense(call: Call) -> Value:
    layer = call.layer
    if call.trains and _is_linear(layer):
        return _as_linear(call)
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
