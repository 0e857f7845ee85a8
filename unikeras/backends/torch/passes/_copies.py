"""Copies that nothing needs: clones, casts to the same dtype, copies of constants."""

from __future__ import annotations

import math

import torch
from torch.fx import Graph, Node

from unikeras.backends.torch.passes._memory import Memory
from unikeras.backends.torch.passes._strides import (
    VIEWS,
    add_call,
    axes_in_memory,
    is_dense,
    replace,
    strides_of_view,
    update,
    value,
)

A = torch.ops.aten
_CLONES = {A.clone.default, A.lift_fresh_copy.default}
# Which argument is the kernel.
_KERNELS = {A.convolution.default: 1, A.convolution_backward.default: 2}
_MATRIX_PRODUCTS = {A.mm.default, A.addmm.default, A.bmm.default, A.baddbmm.default}


def drop_casts(graph: Graph) -> int:
    """Drop casts to the dtype, device and layout that a value has, and a widening cast that is undone."""
    memory = Memory(graph)
    casts = [node for node in graph.nodes if node.target == A._to_copy.default]
    return sum(_merge(memory, node, source) for node in casts if _same_kind(source := _narrow(node), node))


def drop_copies(graph: Graph) -> int:
    """Drop clones with the strides of their source: both hold the same values until one of them is written."""
    memory = Memory(graph)
    clones = [node for node in graph.nodes if node.target in _CLONES]
    return sum(_merge(memory, node, node.args[0]) for node in clones if _has_strides_of(node.args[0], node))


def drop_layout_copies(graph: Graph) -> int:
    """Drop clones that only change strides, where the operators behind them take any order of the axes.

    The kernels behind them then run in the layout of the source, so that one layout goes through a network.
    """
    memory, count = Memory(graph), 0
    for node in list(graph.nodes):
        if node.target == A.clone.default and (fake := value(node.args[0])) is not None:
            count += _merge(memory, node, node.args[0]) if is_dense(fake) and _gains(node) else 0
    return count


def transpose_copies(graph: Graph) -> int:
    """Copy as a matrix where a clone turns the axes of its memory round: torch copies a transposed matrix by blocks.

    A convolution's kernel is one: its last axis becomes the first.
    """
    return sum(_transpose(graph, node) for node in list(graph.nodes) if node.target == A.clone.default)


def _transpose(graph: Graph, node: Node) -> int:
    old, new = value(node.args[0]), value(node)
    if old is None or new is None or old.ndim < 3 or not (is_dense(old) and is_dense(new)):
        return 0
    source, wanted = axes_in_memory(old), axes_in_memory(new)
    turn = source.index(wanted[0])
    if turn == 0 or source[turn:] + source[:turn] != wanted:
        return 0
    rows = math.prod(old.shape[axis] for axis in source[:turn])
    call = add_call(graph, A.permute.default, (node.args[0], source), before=node)
    for target, argument in (
        (A.view.default, [rows, old.numel() // rows]),
        (A.permute.default, [1, 0]),
        (A.contiguous.default, None),
        (A.view.default, [old.shape[axis] for axis in wanted]),
        (A.permute.default, [wanted.index(axis) for axis in range(old.ndim)]),
    ):
        call = add_call(graph, target, (call,) if argument is None else (call, argument), before=node)
    replace(node, call)
    return 1


def _gains(node: Node) -> bool:
    """Say whether dropping the clone saves a copy: no user would have to make one."""
    old = value(node.args[0])
    return old is not None and all(_takes(user, node, old) for user in node.users)


def _takes(user: Node, node: Node, fake: torch.Tensor) -> bool:
    kernel = _KERNELS.get(user.target)
    if kernel is not None and user.args[kernel] is node:
        return False  # forward and backward pass would each copy it
    wanted = value(user) if user.target in VIEWS else None
    if wanted is not None and strides_of_view(fake, wanted.shape) is None:
        return False
    return user.target not in _MATRIX_PRODUCTS or 1 in fake.stride()[-2:]


def _merge(memory: Memory, copy: Node, source: Node) -> int:
    """Use the source for the copy, where nothing can tell, and where the graph still runs."""
    if not _may_share(memory, copy, source):
        return 0
    before = {user: (user.args, user.kwargs) for user in copy.users}
    copy.replace_all_uses_with(source)
    if not _has_strides_of(source, copy) and not update(copy.graph, memory, source):
        for user, (args, kwargs) in before.items():
            user.args, user.kwargs = args, kwargs
        return 0
    memory.merge(copy, source)
    copy.graph.erase_node(copy)
    return 1


def _may_share(memory: Memory, copy: Node, source: Node) -> bool:
    """Say whether a copy may use the memory of its source: until its last use, neither of them is written."""
    if not memory.is_own(copy) or not memory.is_constant(copy) or memory.is_returned(copy):
        return False
    return not memory.is_written(source, memory.position[copy], memory.last_use(copy))


def _narrow(cast: Node) -> Node:
    """Return what a cast casts, or what was widened before it is narrowed again."""
    source: Node = cast.args[0]
    inner = source.args[0] if source.target == A._to_copy.default else None
    dtypes = [node.meta["val"].dtype for node in (source, inner, cast) if isinstance(node, Node)]
    return inner if len(dtypes) == 3 and dtypes[1] == dtypes[2] and _holds(*dtypes[:2]) else source


def _same_kind(source: Node, cast: Node) -> bool:
    old, new = source.meta["val"], cast.meta["val"]
    return bool(
        (old.dtype, old.device, old.layout) == (new.dtype, new.device, new.layout)
        and not cast.kwargs.get("pin_memory")
        and _has_strides_of(source, cast)
    )


def _holds(wide: torch.dtype, narrow: torch.dtype) -> bool:
    """Say whether a dtype has all values of another one of its kind."""
    kinds = {(dtype.is_floating_point, dtype.is_complex) for dtype in (wide, narrow)}
    return narrow == torch.bool or (len(kinds) == 1 and torch.promote_types(wide, narrow) == wide)


def _has_strides_of(source: Node, copy: Node) -> bool:
    old, new = value(source), value(copy)
    return old is not None and new is not None and (old.shape, old.stride()) == (new.shape, new.stride())
