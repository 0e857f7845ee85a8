"""A tape over the graph that autograd records anyway."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence
from typing import Any

import keras
import torch
from keras.src.backend.common.variables import AutocastScope
from torch.autograd.graph import GradientEdge, get_gradient_edge

from unikeras.backends._base import Tape

_local = threading.local()


class _Flags:
    """Tensors whose requires_grad tapes have set: put back when the last tape, of any thread, lets go."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders: dict[int, int] = {}

    def hold(self, tensor: torch.Tensor) -> bool:
        """Set the flag, and say whether `release` has to be called for it."""
        with self._lock:
            if tensor.requires_grad and id(tensor) not in self._holders:
                return False
            tensor.requires_grad_(True)
            self._holders[id(tensor)] = self._holders.get(id(tensor), 0) + 1
            return True

    def release(self, tensor: torch.Tensor) -> None:
        with self._lock:
            self._holders[id(tensor)] -= 1
            if not self._holders[id(tensor)]:
                del self._holders[id(tensor)]
                tensor.requires_grad_(False)


_flags = _Flags()


def _recording() -> list[TorchTape]:
    """Return the tapes that record in this thread, the innermost last."""
    if not hasattr(_local, "tapes"):
        _local.tapes = []
    return _local.tapes


def _tensor(value: Any) -> torch.Tensor:
    """Return a variable's parameter, without the cast that a mixed-precision layer puts around it."""
    if not isinstance(value, keras.Variable):
        return value
    with AutocastScope(None):
        return value.value


def _detach(target: torch.Tensor) -> None:
    """Cut a target off the graph that has just been freed, so that reading it is free of it too."""
    if target.grad_fn is not None and not target._is_view():
        target.detach_()


class TorchTape(Tape):
    """What autograd records between `start` and `stop`, with the user's own flags put back at the end."""

    def __init__(self, persistent: bool, watch_accessed_variables: bool) -> None:
        self._persistent = persistent
        self._watch_accessed = watch_accessed_variables
        self._grad_mode = torch.enable_grad()
        # A watched leaf is reached by its edge in autograd's graph, which outlives its requires_grad flag.
        self._edges: dict[int, tuple[torch.Tensor, GradientEdge]] = {}
        self._held: list[torch.Tensor] = []
        # Tapes that recorded at the same time share parts of the graph: the first to answer must not free it.
        self._overlapping: weakref.WeakSet[TorchTape] = weakref.WeakSet()

    def start(self) -> None:
        for tape in _recording():
            self._overlapping.add(tape)
            tape._overlapping.add(self)
        _recording().append(self)
        self._grad_mode.__enter__()

    def stop(self) -> None:
        self._grad_mode.__exit__(None, None, None)
        _recording().remove(self)
        for tensor in self._held:
            _flags.release(tensor)
        self._held.clear()

    def watch(self, value: Any) -> None:
        tensor = _tensor(value)
        if _flags.hold(tensor):
            self._held.append(tensor)
        self._edges[id(tensor)] = (tensor, get_gradient_edge(tensor))

    def gradient(
        self, targets: Sequence[Any], sources: Sequence[Any], output_gradients: Sequence[Any]
    ) -> list[Any]:
        wanted = [self._edge(source) for source in sources]
        reached = [
            (edge, torch.ones_like(target) if given is None else given)
            for target, given in zip(targets, output_gradients, strict=True)
            if (edge := self._edge(target)) is not None
        ]
        if not reached or not any(wanted):
            return [None] * len(wanted)
        outputs, given = zip(*reached, strict=True)
        create_graph = bool(_recording())
        keep_graph = create_graph or self._persistent or bool(self._overlapping)
        inputs = [edge for edge in wanted if edge]
        found = iter(
            torch.autograd.grad(
                outputs, inputs, given, retain_graph=keep_graph, create_graph=create_graph, allow_unused=True
            )
        )
        if not keep_graph:
            for target in targets:
                _detach(target)
        return [next(found) if edge else None for edge in wanted]

    def _edge(self, value: Any) -> GradientEdge | None:
        """Return where the graph holds a value, or None where nothing was recorded for it."""
        tensor = _tensor(value)
        if id(tensor) in self._edges:
            return self._edges[id(tensor)][1]
        if isinstance(value, keras.Variable) and not (self._watch_accessed and value.trainable):
            return None
        return get_gradient_edge(tensor) if tensor.requires_grad else None

    def release(self) -> None:
        self._edges.clear()
        for tape in self._overlapping:
            tape._overlapping.discard(self)
        self._overlapping.clear()
