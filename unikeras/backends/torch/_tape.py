"""A tape over the graph that autograd records anyway."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import keras
import torch
from torch.autograd.graph import GradientEdge, get_gradient_edge

from unikeras.backends._base import Tape
from unikeras.backends.torch import _assign, _graph, _pause
from unikeras.backends.torch._flags import flags

_local = threading.local()


def _recording() -> list[TorchTape]:
    """Return the tapes that record in this thread, the innermost last."""
    if not hasattr(_local, "tapes"):
        _local.tapes = []
    return _local.tapes


class TorchTape(Tape):
    """What autograd records between `start` and `stop`, with the user's own flags put back at the end."""

    def __init__(self, persistent: bool, watch_accessed_variables: bool) -> None:
        self._persistent = persistent
        self._watch_native = watch_accessed_variables
        self._grad_mode = torch.enable_grad()
        # A watched leaf is reached by its edge in autograd's graph, which outlives its requires_grad flag.
        self._edges: dict[int, tuple[torch.Tensor, GradientEdge]] = {}
        self._held: list[torch.Tensor] = []
        # What each watched variable gave out, by the variable's id.
        self._reads: dict[int, list[torch.Tensor]] = {}
        # Tapes that recorded at the same time share parts of the graph: the first to answer must not free it.
        self._overlapping: weakref.WeakSet[TorchTape] = weakref.WeakSet()
        # Autograd's number of the first operation of this tape; whether the graph may reach back before it.
        self._first_node: int | None = None
        self._may_reach_back = False

    def start(self) -> None:
        for tape in _recording():
            self._overlapping.add(tape)
            tape._overlapping.add(self)
            self._may_reach_back = True
        _recording().append(self)
        self._grad_mode.__enter__()
        if self._first_node is None:
            self._first_node = _graph.next_node()
        _assign.protect(self)

    def stop(self) -> None:
        self._grad_mode.__exit__(None, None, None)
        _recording().remove(self)
        for tensor in self._held:
            flags.release(tensor)
        self._held.clear()

    def pause(self) -> AbstractContextManager[None]:
        # Autograd's switch is for all tapes of the thread, so where another one records, the way back is closed
        # for this one alone.
        return torch.no_grad() if _recording() == [self] else _pause.closed_to(self)

    def watch(self, tensor: torch.Tensor) -> None:
        if flags.hold(tensor):
            self._held.append(tensor)
        self._edges[id(tensor)] = (tensor, get_gradient_edge(tensor))

    def read(self, variable: keras.Variable, value: torch.Tensor) -> torch.Tensor:
        held = self._reads.setdefault(id(variable), [])
        if id(value) not in self._edges:
            self.watch(value)
            held.append(value)
        # A view of its own keeps the numbers that were read when the variable is assigned to (`_assign`).
        return value.view_as(value)

    def has_read(self, variable: keras.Variable) -> bool:
        return id(variable) in self._reads

    def gradient(
        self, targets: Sequence[Any], sources: Sequence[Any], output_gradients: Sequence[Any]
    ) -> list[Any]:
        reached = [
            (edge, torch.ones_like(target) if given is None else given)
            for target, given in zip(targets, output_gradients, strict=True)
            if (edge := self._target_edge(target)) is not None
        ]
        keep = self._persistent or bool(self._overlapping)
        found = self._backward(reached, sources, retain_graph=keep)
        if not keep and not _recording():
            for target in targets:
                _detach(target)
        return found

    def batched_gradient(self, target: Any, sources: Sequence[Any], output_gradients: Any) -> list[Any]:
        edge = self._target_edge(target)
        if edge is None:
            return [None] * len(sources)
        try:
            return self._backward(
                [(edge, output_gradients)], sources, retain_graph=True, is_grads_batched=True
            )
        except RuntimeError:
            # An operation that cannot be batched; if something else is wrong, the loop says so.
            rows = [self._backward([(edge, row)], sources, retain_graph=True) for row in output_gradients]
            return [None if one[0] is None else torch.stack(one) for one in zip(*rows, strict=True)]

    def _backward(
        self, reached: Sequence[tuple[GradientEdge, Any]], sources: Sequence[Any], **options: bool
    ) -> list[Any]:
        wanted = [self._source_edges(source) for source in sources]
        inputs = [edge for edges in wanted for edge in edges]
        if not reached or not inputs:
            return [None] * len(sources)
        outputs, weights = zip(*reached, strict=True)
        create_graph = bool(_recording())
        options["retain_graph"] |= create_graph
        # What is computed again on the way back (checkpoint) wants the flags that it saw on the way there.
        flagged = flags.held(tensor for tensor, _ in self._edges.values())
        with _pause.answering(self), flagged, self._own_part(outputs) as own:
            gradients = torch.autograd.grad(
                outputs, inputs, weights, create_graph=create_graph, allow_unused=True, **options
            )
        found = iter(
            gradient if own is None or (edge.node, edge.output_nr) in own else None
            for edge, gradient in zip(inputs, gradients, strict=True)
        )
        return [_total([next(found) for _ in edges]) for edges in wanted]

    def _own_part(
        self, targets: Sequence[GradientEdge]
    ) -> AbstractContextManager[set[tuple[Any, int]] | None]:
        if not self._may_reach_back:
            return contextlib.nullcontext()
        return _graph.cut(targets, self._first_node or 0)

    def _source_edges(self, source: Any) -> list[GradientEdge]:
        if isinstance(source, keras.Variable):
            return [self._edges[id(value)][1] for value in self._reads.get(id(source), [])]
        edge = self._edge(source)
        return [] if edge is None else [edge]

    def _target_edge(self, target: torch.Tensor) -> GradientEdge | None:
        node = target.grad_fn
        if (
            node is not None
            and id(target) not in self._edges
            and node._sequence_nr() < (self._first_node or 0)
        ):
            return None  # computed before the block
        return self._edge(target)

    def _edge(self, tensor: torch.Tensor) -> GradientEdge | None:
        """Return where the graph holds a tensor, or None where this tape does not record it."""
        if id(tensor) in self._edges:
            return self._edges[id(tensor)][1]
        if not tensor.requires_grad:
            return None
        if tensor.is_leaf and (flags.holds(tensor) or not self._watch_native):
            return None  # watched by another tape only
        return get_gradient_edge(tensor)

    def reset(self) -> None:
        self._edges.clear()
        self._reads.clear()
        self._first_node = _graph.next_node()
        self._may_reach_back = True

    def release(self) -> None:
        self._edges.clear()
        self._reads.clear()
        for tape in self._overlapping:
            tape._overlapping.discard(self)
        self._overlapping.clear()


def _total(gradients: Sequence[Any]) -> Any:
    found = [gradient for gradient in gradients if gradient is not None]
    return sum(found[1:], start=found[0]) if found else None


def _detach(target: torch.Tensor) -> None:
    """Cut a target off the graph that has just been freed, so that reading it is free of it too."""
    if target.grad_fn is not None and not target._is_view():
        target.detach_()
