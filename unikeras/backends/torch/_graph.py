"""Which part of autograd's graph belongs to a tape: the operations from its first one on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.autograd.graph import GradientEdge


def next_node() -> int:
    """Return the number that autograd gives to the next operation of this thread."""
    with torch.enable_grad():
        return int(torch.ones((), requires_grad=True).view(()).grad_fn._sequence_nr()) + 1


@contextlib.contextmanager
def cut(targets: Sequence[GradientEdge], first: int) -> Iterator[set[tuple[Any, int]]]:
    """Let no gradient pass through operations before the given one, while the context lasts.

    Yields:
        The edges that the targets reach without passing through those operations.
    """
    reached = {(edge.node, edge.output_nr) for edge in targets}
    waiting, seen, hooks = [edge.node for edge in targets], set(), []
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        if node._sequence_nr() < first:
            hooks.append(node.register_prehook(_zeros))
            continue
        inputs = [(following, nr) for following, nr in node.next_functions if following is not None]
        reached.update(inputs)
        waiting.extend(following for following, _ in inputs)
    try:
        yield reached
    finally:
        for hook in hooks:
            hook.remove()


def _zeros(gradients: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(None if gradient is None else torch.zeros_like(gradient) for gradient in gradients)
