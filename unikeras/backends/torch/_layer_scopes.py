"""Which layer an operator of a traced graph belongs to, forward and in the gradient."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import torch
from keras.src.backend.common.global_state import get_global_attribute

from unikeras._specs.graph_nodes import scope_of

_KEY = "unikeras_scope"
_is_noting: ContextVar[bool] = ContextVar("is_noting", default=False)


@contextlib.contextmanager
def noting_layers() -> Iterator[None]:
    """Let what is traced in this context note layers; other traces need none, and run as fast as they can."""
    token = _is_noting.set(True)
    try:
        yield
    finally:
        _is_noting.reset(token)


def note_scopes(tracer: Any) -> None:
    """Where layers are noted, let each node that a tracer makes from here on keep Keras' scope.

    Autograd runs an operator's gradient outside of Keras' scopes; its number is that of the operator.
    """
    if not _is_noting.get():
        return
    make: Callable[..., Any] = tracer.create_node
    scopes: dict[int, str] = {}

    def create_node(*args: Any, **kwargs: Any) -> Any:
        node = make(*args, **kwargs)
        gradient = torch._C._current_autograd_node()
        if gradient is None:
            path = _open_scopes()
            scopes[torch.autograd._get_sequence_nr() - 1] = path
        else:
            path = f"gradient/{scopes.get(gradient._sequence_nr(), '')}"
        node.meta[_KEY] = path
        return node

    tracer.create_node = create_node


def _open_scopes() -> str:
    """Return Keras' scopes as they are open; a layer's own path would leave out the models that call it."""
    return "/".join(entry.name for entry in get_global_attribute("name_scope_stack") or ())


def copy_scope(old: Any, new: Any) -> None:
    """Let a node that replaces another one belong to the same layer."""
    if _KEY in old.meta:
        new.meta[_KEY] = old.meta[_KEY]


def scope_of_node(node: Any) -> tuple[str, ...]:
    """Return the scope of a node; that of its first input where a pass put it there."""
    while _KEY not in node.meta:
        inputs = [one for one in node.all_input_nodes if one.op == "call_function"]
        if not inputs:
            return ()
        node = inputs[0]
    return scope_of(node.meta[_KEY])
