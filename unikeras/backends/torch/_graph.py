"""Which part of autograd's graph belongs to a tape: the operations from its first one on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.autograd.graph import GradientEdge


class Blocks:
    """Which operations ran inside a tape's blocks, by the numbers that autograd gives them, thread by thread."""

    def __init__(self) -> None:
        self._ranges: list[tuple[int, int | None]] = []
        self._pauses: list[object] = []

    def start(self) -> None:
        """Count the operations from here on."""
        self._ranges.append((_next_number(), None))

    def stop(self) -> None:
        """Count no more."""
        self._pauses.clear()
        self._close()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Count nothing in this block; where counting ends inside, it does not go on after it."""
        pause = object()
        self._close()
        self._pauses.append(pause)
        try:
            yield
        finally:
            if pause in self._pauses:
                self._pauses.remove(pause)
                if not self._pauses:
                    self.start()

    def reset(self) -> None:
        """Forget what was counted; where counting is under way, it begins here."""
        running = self._is_running()
        self._ranges.clear()
        if running:
            self.start()

    def _is_running(self) -> bool:
        return bool(self._ranges) and self._ranges[-1][1] is None

    def _close(self) -> None:
        if self._is_running():
            first, _ = self._ranges.pop()
            self._ranges.append((first, _next_number()))

    def __contains__(self, node: Any) -> bool:
        number = node._sequence_nr()
        return any(first <= number and (last is None or number < last) for first, last in self._ranges)


def _next_number() -> int:
    return int(torch.autograd._get_sequence_nr())


@contextlib.contextmanager
def cut(targets: Sequence[GradientEdge], blocks: Blocks) -> Iterator[set[tuple[Any, int]]]:
    """Let no gradient pass through operations outside the blocks, while the context lasts.

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
        inputs = [(following, nr) for following, nr in node.next_functions if following is not None]
        if inputs and node not in blocks:
            hooks.append(node.register_prehook(_zeros))
            continue
        reached.update(inputs)
        waiting.extend(following for following, _ in inputs)
    try:
        yield reached
    finally:
        for hook in hooks:
            hook.remove()


def _zeros(gradients: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(None if gradient is None else torch.zeros_like(gradient) for gradient in gradients)
