"""Views: a chain of them becomes one, or none."""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import Graph, Node

from unikeras.backends.torch.passes._strides import add_call, places, replace, strides_of_view, value

A = torch.ops.aten
_SAME = {A.detach.default, A.alias.default, A.lift_fresh.default}
# Of one tensor, whose memory they share.
_VIEWS = {
    A.view.default,
    A._unsafe_view.default,
    A.permute.default,
    A.transpose.int,
    A.t.default,
    A.unsqueeze.default,
    A.squeeze.default,
    A.squeeze.dim,
    A.squeeze.dims,
    A.expand.default,
    A._reshape_alias.default,
}


def drop_detach(graph: Graph) -> int:
    """Drop what returns its argument: a program runs without autograd.

    An input or a constant that is itself a result stays behind its detach: the caller's tensor object is not returned.
    """
    dropped = 0
    for node in list(graph.nodes):
        if node.op != "call_function" or node.target not in _SAME:
            continue
        source = node.args[0]
        node.replace_all_uses_with(
            source,
            delete_user_cb=lambda user, source=source: user.op != "output" or source.op == "call_function",
        )
        if not node.users:
            graph.erase_node(node)
            dropped += 1
    return dropped


def compose_views(graph: Graph) -> int:
    """Replace a chain of views by one view of its base, or by its base where the elements lie as they did.

    All views of a chain see the same memory, so writes need no thought.
    """
    return sum(_compose(graph, node) for node in list(graph.nodes) if node.target in _VIEWS)


def compose_permutes(graph: Graph) -> int:
    """Compose a permute of a permute, also where sizes are not known."""
    count = 0
    for node in list(graph.nodes):
        source: Any = node.args[0] if node.args else None
        if node.target != A.permute.default or getattr(source, "target", None) != A.permute.default:
            continue
        inner, outer = source.args[1], node.args[1]
        order = [inner[axis] % len(inner) for axis in outer]
        if order == sorted(order):
            if _is_for_output(node, source.args[0]):
                continue
            replace(node, source.args[0])
        else:
            node.args = (source.args[0], order)
        count += 1
    return count


def _compose(graph: Graph, node: Node) -> int:
    wanted = value(node)
    bases = list(_bases(node))
    if wanted is None or not bases:
        return 0
    for base in reversed(bases):  # the one that is furthest away first
        source = value(base)
        if source is None:
            continue
        if places(source) == places(wanted) and source.stride() == wanted.stride():
            if _is_for_output(node, base):
                return 0
            replace(node, base)
            return 1
        if base is bases[0]:
            return 0  # a single view is what it is already
        if (call := _one_view(source, wanted)) is not None:
            replace(node, add_call(graph, call[0], (base, call[1]), before=node))
            return 1
    return 0


def _bases(node: Node):  # type: ignore[no-untyped-def]
    while node.op == "call_function" and node.target in _VIEWS:
        node = node.args[0]
        yield node


def _one_view(source: torch.Tensor, wanted: torch.Tensor):  # type: ignore[no-untyped-def]
    """Return the operator and the argument that make one fake value of the other, None where no single one does."""
    order = _order(source, wanted)
    if order is not None:
        return A.permute.default, order
    strides = strides_of_view(source, wanted.shape)
    if strides is None or source.storage_offset() != wanted.storage_offset() or source.dtype != wanted.dtype:
        return None
    lies_there = all(
        size == 1 or one == other
        for size, one, other in zip(wanted.shape, strides, wanted.stride(), strict=True)
    )
    return (A.view.default, list(wanted.shape)) if lies_there else None


def _order(source: torch.Tensor, wanted: torch.Tensor) -> list[int] | None:
    """Return the permutation of axes; axes that look alike are taken in their order."""
    if source.ndim != wanted.ndim or source.storage_offset() != wanted.storage_offset():
        return None
    free = list(zip(source.shape, source.stride(), strict=True))
    order: list[int] = []
    for axis in zip(wanted.shape, wanted.stride(), strict=True):
        match = next((i for i, other in enumerate(free) if other == axis and i not in order), None)
        if match is None:
            return None
        order.append(match)
    return order


def _is_for_output(node: Node, base: Node) -> bool:
    """Say whether an input or a constant itself would be returned."""
    return base.op != "call_function" and any(user.op == "output" for user in node.users)
