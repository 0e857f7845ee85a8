"""Fake values of a graph's nodes: their shapes and strides, kept true while passes change layouts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.fx import Graph, Node
from torch.utils import _pytree

from unikeras.backends.torch._layer_scopes import copy_scope
from unikeras.backends.torch.passes._memory import Memory, is_operator

A = torch.ops.aten
VIEWS = (A.view.default, A._unsafe_view.default)


def value(node: object) -> torch.Tensor | None:
    """Return the fake value of a node whose sizes are all known, None where it has none."""
    fake = node.meta.get("val") if isinstance(node, Node) else None
    if not isinstance(fake, torch.Tensor) or fake.layout != torch.strided:
        return None
    known = all(type(size) is int for size in (*fake.shape, *fake.stride(), fake.storage_offset()))
    return fake if known else None


def places(fake: torch.Tensor) -> tuple[Any, ...]:
    """Return what decides where the elements lie: strides of axes of one element decide nothing."""
    strides = [0 if size == 1 else stride for size, stride in zip(fake.shape, fake.stride(), strict=True)]
    return tuple(fake.shape), tuple(strides), fake.storage_offset(), fake.dtype


def is_dense(fake: torch.Tensor) -> bool:
    """Say whether the elements fill their memory, each once, in some order of the axes."""
    axes = sorted((stride, size) for size, stride in zip(fake.shape, fake.stride(), strict=True) if size != 1)
    expected = 1
    for stride, size in axes:
        if stride != expected:
            return False
        expected *= size
    return fake.numel() > 0


def axes_in_memory(fake: torch.Tensor) -> list[int]:
    """Return the axes in the order of memory, the one with the largest steps first."""
    return sorted(range(fake.ndim), key=lambda axis: (-fake.stride(axis), fake.shape[axis] == 1, axis))


def strides_of_view(fake: torch.Tensor, shape: Sequence[int]) -> tuple[int, ...] | None:
    """Return the strides of a view of another shape, None where only a copy has that shape.

    Fake tensors cannot be asked: torch 2.13 views a fake tensor whose channels come last as if it were contiguous.
    """
    try:
        return torch.empty_strided(fake.shape, fake.stride(), device="meta").view(list(shape)).stride()
    except RuntimeError:
        return None


def run(node: Node) -> Any:
    """Return the fake value that a node has for the fake values of its arguments.

    Raises:
        RuntimeError: it is a view that the strides of its argument do not allow.
    """
    source, old = (value(node.args[0]), value(node)) if node.target in VIEWS else (None, None)
    if source is not None and old is not None and strides_of_view(source, old.shape) is None:
        raise RuntimeError(f"{node} is no view of its argument")
    args, kwargs = _pytree.tree_map_only(
        Node, lambda argument: argument.meta["val"], (node.args, node.kwargs)
    )
    mode = next((mode for argument in node.all_input_nodes if (mode := _mode(argument))), None)
    if mode is None:
        return node.meta.get("val")
    with mode, torch.no_grad():
        return node.target(*args, **kwargs)


def add_call(graph: Graph, target: Any, args: tuple[Any, ...], before: Node) -> Node:
    """Add a node before another one, in its layer and with its own fake value."""
    with graph.inserting_before(before):
        node = graph.call_function(target, args)
    copy_scope(before, node)
    node.meta["val"] = run(node)
    return node


def replace(old: Node, new: Node) -> None:
    """Give the users of one node another one, and remove it."""
    old.replace_all_uses_with(new)
    old.graph.erase_node(old)


def update(graph: Graph, memory: Memory, changed: Node) -> bool:
    """Compute fake values again behind a node whose strides changed; say whether the graph still runs.

    A view that its new strides do not allow becomes a reshape, which may copy. Where such a copy could miss a write,
    nothing is changed and the answer is False.
    """
    reshaped: list[Any] = []
    stale, kept = {changed}, {}
    for node in graph.nodes:
        if node.op != "call_function" or stale.isdisjoint(node.all_input_nodes):
            continue
        kept[node] = node.meta.get("val")
        try:
            new = run(node)
        except (RuntimeError, ValueError):
            at, target = memory.position[node], node.target
            if target not in VIEWS or memory.is_written(node, at, memory.last_use(node)):
                return _undo(kept, reshaped)
            reshaped.append((node, target))
            node.target = A.reshape.default
            new = run(node)
        if is_operator(node) and _differs(kept[node], new):
            stale.add(node)
        node.meta["val"] = new
    return True


def _undo(kept: dict[Node, Any], reshaped: list[tuple[Node, Any]]) -> bool:
    for node, old in kept.items():
        node.meta["val"] = old
    for node, target in reshaped:
        node.target = target
    return False


def _differs(old: Any, new: Any) -> bool:
    olds, news = _pytree.tree_leaves(old), _pytree.tree_leaves(new)
    return any(
        isinstance(a, torch.Tensor) and a.layout == torch.strided and a.stride() != b.stride()
        for a, b in zip(olds, news, strict=True)
    )


def _mode(node: Node) -> Any:
    leaves = _pytree.tree_leaves(node.meta.get("val"))
    return next((leaf.fake_mode for leaf in leaves if hasattr(leaf, "fake_mode")), None)
