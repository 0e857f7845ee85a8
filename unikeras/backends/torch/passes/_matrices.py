"""Matrix products and convolutions: a bias that they add themselves, and no batch of one."""

from __future__ import annotations

import math

import torch
from torch.fx import Graph, Node

from unikeras.backends.torch.passes._memory import Memory
from unikeras.backends.torch.passes._strides import add_call, replace, value

A = torch.ops.aten
_VIEWS = {A.view.default, A._unsafe_view.default}


def bias_into_convolution(graph: Graph) -> int:
    """add(permute(convolution(x, w)), b) becomes permute(convolution(x, w, b)), for one number b per channel."""
    memory = Memory(graph)
    return sum(
        _bias_into_convolution(memory, node) for node in list(graph.nodes) if node.target == A.add.Tensor
    )


def bias_into_product(graph: Graph) -> int:
    """add(view(mm(x, w)), b) becomes view(addmm(b, x, w)), for a b that has one number per column."""
    memory = Memory(graph)
    return sum(_bias_into_product(memory, node) for node in list(graph.nodes) if node.target == A.add.Tensor)


def single_products(graph: Graph) -> int:
    """bmm of one pair of matrices becomes mm."""
    count = 0
    for node in list(graph.nodes):
        if node.target != A.bmm.default or any(value(side) is None for side in node.args):
            continue
        if all(value(side).shape[0] == 1 for side in node.args):  # type: ignore[union-attr]
            sides = [add_call(graph, A.squeeze.dim, (side, 0), before=node) for side in node.args]
            product = add_call(graph, A.mm.default, tuple(sides), before=node)
            replace(node, add_call(graph, A.unsqueeze.default, (product, 0), before=node))
            count += 1
    return count


def _bias_into_convolution(memory: Memory, node: Node) -> int:
    graph = node.graph
    for outer, bias in _sides(node):
        permuted = outer.target == A.permute.default
        inner = outer.args[0] if permuted else outer
        fake = value(inner)
        if inner.target != A.convolution.default or inner.args[2] is not None or fake is None:
            continue
        axis = list(outer.args[1]).index(1) if permuted else 1
        vector = _bias(node, outer, bias, axis) if _only_for(node, outer, inner) else None
        if vector is None or not _may_move(memory, inner, node):
            continue
        new = add_call(graph, inner.target, (*inner.args[:2], vector, *inner.args[3:]), before=node)
        replace(
            node, add_call(graph, A.permute.default, (new, outer.args[1]), before=node) if permuted else new
        )
        return 1
    return 0


def _bias_into_product(memory: Memory, node: Node) -> int:
    graph = node.graph
    for outer, bias in _sides(node):
        viewed = outer.target in _VIEWS
        inner = outer.args[0] if viewed else outer
        fake = value(inner)
        if inner.target != A.mm.default or fake is None or not _only_for(node, outer, inner):
            continue
        columns = _columns(value(outer), fake.shape[1])
        vector = None if columns is None else _bias(node, outer, bias, *columns)
        if vector is None or not _may_move(memory, inner, node):
            continue
        new = add_call(graph, A.addmm.default, (vector, *inner.args), before=node)
        replace(node, add_call(graph, A.view.default, (new, outer.args[1]), before=node) if viewed else new)
        return 1
    return 0


def _sides(node: Node) -> list[tuple[Node, Node]]:
    left, right = node.args[:2]
    if node.kwargs or value(left) is None or value(right) is None:
        return []
    return [(left, right), (right, left)]


def _only_for(node: Node, outer: Node, inner: Node) -> bool:
    """Say whether the sum alone uses the product, and has its shape and dtype."""
    alone = list(outer.users) == [node] and (inner is outer or list(inner.users) == [outer])
    total, part = value(node), value(outer)
    return (
        alone
        and total is not None
        and part is not None
        and (total.shape, total.dtype) == (part.shape, part.dtype)
    )


def _columns(fake: torch.Tensor | None, columns: int) -> list[int] | None:
    """Return the last axes that together are the columns of the product, None where a view splits them otherwise."""
    axes: list[int] = []
    for axis in reversed(range(fake.ndim if fake is not None else 0)):
        axes.insert(0, axis)
        if math.prod(fake.shape[axis] for axis in axes) == columns:  # type: ignore[union-attr]
            return axes
    return None


def _bias(node: Node, outer: Node, bias: Node, *axes: int) -> Node | None:
    """Return a vector with one number for each element of these axes, None where the bias varies along others."""
    total, part = value(outer), value(bias)
    assert total is not None
    assert part is not None
    shape = (1,) * (total.ndim - part.ndim) + tuple(part.shape)
    wanted = tuple(size if axis in axes else 1 for axis, size in enumerate(total.shape))
    if shape != wanted or part.dtype != total.dtype or part.device != total.device:
        return None
    if part.ndim == 1:
        return bias
    try:
        return add_call(node.graph, A.view.default, (bias, [part.numel()]), before=node)
    except RuntimeError:  # its strides allow no view
        return None


def _may_move(memory: Memory, node: Node, to: Node) -> bool:
    """Say whether a call may run later: nothing that it reads is written on the way."""
    start, end = memory.position[node], memory.position[to]
    return not any(memory.is_written(read, start, end) for read in node.all_input_nodes)
