"""Who records in a thread, and how `no_grad` stops those that do and not those that start inside it.

TensorFlow has one switch for each thread. It is off inside a `no_grad` block and goes on for as long as a tape or
an accumulator that started inside the block records; those that started before are taken out meanwhile. A graph
that is traced in the block may be differentiated afterwards, as a whole: there its operations answer constants.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import tensorflow as tf
from tensorflow.python import pywrap_tfe
from tensorflow.python.framework import op_callbacks


class Recorder(Protocol):
    """A tape, or a forward accumulator."""

    def pause(self) -> AbstractContextManager[None]:
        """Return a context in which it records nothing."""


class Block:
    """One `no_grad` block, with the number of recorders that started inside."""

    def __init__(self) -> None:
        self.recorders = 0


class _Thread(threading.local):
    def __init__(self) -> None:
        self.recorders: list[Recorder] = []
        self.blocks: list[Block] = []
        self.was_stopped = False


_thread = _Thread()


def begin(recorder: Recorder) -> Block | None:
    """Let a recorder record, and return the `no_grad` block that it starts in; `end` takes both."""
    _thread.recorders.append(recorder)
    block = _thread.blocks[-1] if _thread.blocks else None
    if block is not None:
        block.recorders += 1
        _switch()
    return block


def end(recorder: Recorder, block: Block | None) -> None:
    """Let it record no more."""
    _thread.recorders.remove(recorder)
    if block is not None:
        block.recorders -= 1
        _switch()


@contextlib.contextmanager
def no_grad() -> Iterator[None]:
    """Record nothing in this block, for the recorders of this thread; those that start inside do."""
    with contextlib.ExitStack() as stack:
        for recorder in list(_thread.recorders):
            stack.enter_context(recorder.pause())
        if not _thread.blocks:
            _thread.was_stopped = pywrap_tfe.TFE_Py_TapeSetIsStopped()
        if tf.inside_function():
            stack.enter_context(_severing())
        _thread.blocks.append(Block())
        _switch()
        try:
            yield
        finally:
            _thread.blocks.pop()
            _switch()


@contextlib.contextmanager
def _severing() -> Iterator[None]:
    """Let what is traced in this block be constants for whoever differentiates the whole graph afterwards."""
    op_callbacks.add_op_callback(_severed)
    try:
        yield
    finally:
        op_callbacks.remove_op_callback(_severed)


def _severed(
    op_type: str, inputs: Any, attrs: Any, outputs: Sequence[Any], op_name: Any = None, graph: Any = None
) -> list[Any] | None:
    if graph is None:
        return None
    return [tf.stop_gradient(x) if x.dtype.is_floating or x.dtype.is_complex else x for x in outputs]


def _switch() -> None:
    stopped = _thread.blocks[-1].recorders == 0 if _thread.blocks else _thread.was_stopped
    if stopped:
        pywrap_tfe.TFE_Py_TapeSetStopOnThread()
    else:
        pywrap_tfe.TFE_Py_TapeSetRestartOnThread()
