"""A tape over the graph that autograd records anyway."""

from __future__ import annotations

import contextlib
import functools
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import keras
import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.autograd import forward_ad
from torch.autograd.graph import GradientEdge, get_gradient_edge

from unikeras._keras import hooks
from unikeras.backends._contract import BackendTape
from unikeras.backends.torch import _assign, _graph, _modules
from unikeras.backends.torch._flags import flags
from unikeras.backends.torch._levels import below_transforms, inside_transform, is_transformed
from unikeras.backends.variable_reads import unseen
from unikeras.errors import TransformError

_local = threading.local()


def _recording() -> list[TorchTape]:
    """Return the tapes that record in this thread, the innermost last."""
    if not hasattr(_local, "tapes"):
        _local.tapes = []
    return _local.tapes


def is_recording() -> bool:
    """Say whether a tape records in this thread, or one did in the run that is repeated here."""
    return bool(_recording()) or getattr(_local, "was_recording", False)


@contextlib.contextmanager
def repeating(was_recording: bool) -> Iterator[None]:
    """Let tapes in this block answer as they did in a first run, in which others recorded or did not."""
    before, _local.was_recording = getattr(_local, "was_recording", False), was_recording
    try:
        yield
    finally:
        _local.was_recording = before


class TorchTape(BackendTape):
    """What autograd records between `start` and `stop`, with the user's own flags put back at the end."""

    def __init__(self, persistent: bool, watch_accessed_variables: bool) -> None:
        self._persistent = persistent
        self._watch_native = watch_accessed_variables
        self._grad_mode = torch.enable_grad()
        # A watched leaf is reached by its edge in autograd's graph, which outlives its requires_grad flag.
        self._edges: dict[int, tuple[torch.Tensor, GradientEdge]] = {}
        self._held: list[torch.Tensor] = []
        # For each watched variable, by id: what it held when it was read, and what was returned for that.
        self._reads: dict[int, list[tuple[torch.Tensor, torch.Tensor]]] = {}
        # Variables, by id, that were read and not watched.
        self._passed: set[int] = set()
        # Tapes that recorded at the same time share parts of the graph: the first to answer must not free it.
        self._overlapping: weakref.WeakSet[TorchTape] = weakref.WeakSet()
        # Which operations are this tape's; whether the graph may reach back to others.
        self._blocks = _graph.Blocks()
        self._may_reach_back = False

    def start(self) -> None:
        if inside_transform():
            raise TransformError(
                "a GradientTape cannot record inside uk.vmap, uk.jvp or torch.func's transforms on PyTorch; "
                "uk.grad and uk.value_and_grad can"
            )
        for tape in _recording():
            self._overlapping.add(tape)
            tape._overlapping.add(self)
            self._may_reach_back = True
        _recording().append(self)
        self._grad_mode.__enter__()
        self._may_reach_back |= bool(self._edges)  # a block entered again
        for tensor, _ in self._edges.values():
            self._hold(tensor)
        self._blocks.start()
        _assign.protect(self)
        _install_tracking()
        _modules.install()

    def stop(self) -> None:
        self._grad_mode.__exit__(None, None, None)
        self._blocks.stop()
        _recording().remove(self)
        for tensor in self._held:
            flags.release(tensor)
        self._held.clear()

    def pause(self) -> AbstractContextManager[None]:
        # Autograd's switch is for all tapes of the thread: where another one records, it stays on.
        return no_grad() if _recording() == [self] else self.left_out()

    @contextlib.contextmanager
    def left_out(self) -> Iterator[None]:
        """Leave what runs in this block out of the recording, also where autograd or another tape records it."""
        self._may_reach_back = True
        with self._blocks.paused():
            yield

    def watch(self, tensor: torch.Tensor) -> None:
        if is_transformed(tensor):
            raise TransformError(
                "a tensor inside uk.vmap, uk.jvp or torch.func's transforms cannot be watched by a tape outside of "
                "them on PyTorch; watch it before the transform, or differentiate inside with uk.grad"
            )
        with below_transforms():
            self._hold(tensor)
            self._edges[id(tensor)] = (tensor, get_gradient_edge(tensor))

    def _hold(self, tensor: torch.Tensor) -> None:
        if tensor.is_leaf and flags.hold(tensor):
            self._held.append(tensor)

    def read(self, variable: keras.Variable, value: torch.Tensor) -> torch.Tensor:
        if is_transformed(value):
            return value  # a scope inside a transform gives it out; the transform knows where it comes from
        # A view made inside a transform would be the transform's own, of which autograd's graph below sees nothing.
        with below_transforms():
            return self._read(variable, value)

    def _read(self, variable: keras.Variable, value: torch.Tensor) -> torch.Tensor:
        if not torch.is_grad_enabled():
            return value.view_as(value)
        given_out = self._reads.setdefault(id(variable), [])
        for held, own in given_out:
            if (held is value or own is value) and (isinstance(own, FakeTensor) or own.is_set_to(value)):
                return own  # what stands for a variable in a trace never gets other memory
        # A view of its own keeps the numbers that were read when the variable is assigned to (`_assign`), and
        # tells what was computed from this reading from what was computed before the tape watched.
        own = value.view_as(value)
        if not own.requires_grad:
            with flags.held([value]):
                own = value.view_as(value)
        if own.requires_grad:
            self._edges[id(own)] = (own, get_gradient_edge(own))
            given_out.append((value, own))
        return own

    def pass_by(self, variable: keras.Variable, value: torch.Tensor) -> torch.Tensor:
        if value is not variable._value or value.requires_grad:
            return value  # what a scope or another tape returns for it, which may have a gradient
        # What autograd keeps for the backward pass must outlive an assignment, here too: a stateful layer's memory is
        # read and written in one call.
        self._passed.add(id(variable))
        with below_transforms():
            return value.data

    def has_read(self, variable: keras.Variable) -> bool:
        return id(variable) in self._reads or id(variable) in self._passed

    def gradient(
        self, targets: Sequence[Any], sources: Sequence[Any], output_gradients: Sequence[Any]
    ) -> list[Any]:
        reached = [
            (edge, torch.ones_like(target) if given is None else given)
            for target, given in zip(targets, output_gradients, strict=True)
            if (edge := self._edge(target)) is not None
        ]
        keep = self._persistent or bool(self._overlapping)
        found = self._backward(reached, sources, retain_graph=keep)
        if not keep and not is_recording():
            for target in targets:
                _detach(target)
        return found

    def batched_gradient(self, target: Any, sources: Sequence[Any], output_gradients: Any) -> list[Any]:
        edge = self._edge(target)
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
        create_graph = is_recording() and torch.is_grad_enabled()
        options["retain_graph"] |= create_graph
        # What is computed again on the way back (checkpoint) wants the flags that it saw on the way there.
        read = [value for reads in self._reads.values() for value, _ in reads]
        flagged = flags.held([tensor for tensor, _ in self._edges.values()] + read)
        reaches_back = self._may_reach_back or any(map(_is_native_leaf, sources))
        own_part = _graph.cut(outputs, self._blocks) if reaches_back else contextlib.nullcontext()
        with own_part as own, flagged:
            gradients = torch.autograd.grad(
                outputs, inputs, weights, create_graph=create_graph, allow_unused=True, **options
            )
        found = iter(
            gradient if own is None or (edge.node, edge.output_nr) in own else None
            for edge, gradient in zip(inputs, gradients, strict=True)
        )
        return [_total([next(found) for _ in edges]) for edges in wanted]

    def _source_edges(self, source: Any) -> list[GradientEdge]:
        if isinstance(source, keras.Variable):
            return [self._edges[id(own)][1] for _, own in self._reads.get(id(source), [])]
        edge = self._edge(source)
        return [] if edge is None else [edge]

    def _edge(self, tensor: torch.Tensor) -> GradientEdge | None:
        """Return where the graph holds a tensor, or None where this tape does not record it."""
        if id(tensor) in self._edges:
            return self._edges[id(tensor)][1]
        if not tensor.requires_grad:
            return None
        if tensor.is_leaf and (flags.holds(tensor) or not self._watch_native):
            return None  # watched by another tape only
        if not tensor.is_leaf and tensor.grad_fn not in self._blocks:
            return None  # computed before or after the block
        return get_gradient_edge(tensor)

    def reset(self) -> None:
        self._edges.clear()
        self._reads.clear()
        self._passed.clear()
        self._blocks.reset()
        self._may_reach_back = True

    def release(self) -> None:
        self._edges.clear()
        self._reads.clear()
        self._passed.clear()
        for tape in self._overlapping:
            tape._overlapping.discard(self)
        self._overlapping.clear()


@contextlib.contextmanager
def no_grad() -> Iterator[None]:
    """Record nothing in this block, for the tapes that record now; those that start inside do."""
    with contextlib.ExitStack() as stack:
        for tape in _recording():
            stack.enter_context(tape.left_out())
        stack.enter_context(torch.no_grad())
        stack.enter_context(forward_ad._set_fwd_grad_enabled(False))
        yield


def _install_tracking() -> None:
    """Let a layer that is built under a tape register its parameters, not what the tape returns for them."""
    for name in ("_track_variables", "_post_track_variable", "_untrack_variable"):
        hooks.use(f"keras.Layer.{name}", _unseen)


def _unseen(own: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(own)
    def call(*args: Any, **kwargs: Any) -> Any:
        with unseen():
            return own(*args, **kwargs)

    return call


def _is_native_leaf(source: Any) -> bool:
    """Say whether autograd may have recorded what was computed from a source before the tape did."""
    return isinstance(source, torch.Tensor) and source.is_leaf and source.requires_grad


def _total(gradients: Sequence[Any]) -> Any:
    found = [gradient for gradient in gradients if gradient is not None]
    return sum(found[1:], start=found[0]) if found else None


def _detach(target: torch.Tensor) -> None:
    """Cut a target off the graph that has just been freed, so that reading it is free of it too."""
    if target.grad_fn is not None and not target._is_view():
        target.detach_()
