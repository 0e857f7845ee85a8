"""uk.debug(nans=True): which layer makes the first NaN or Inf, forward or backward, and in which step."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import keras
from keras import ops, tree

from unikeras import backends
from unikeras._keras import hooks
from unikeras._keras.graph import mask_of, set_mask
from unikeras.errors import NonFiniteError

_local = threading.local()
_lock = threading.Lock()
_open = 0


@contextlib.contextmanager
def check_layers() -> Iterator[None]:
    """Check, in this block, what layers and losses return and the gradients that go through them."""
    global _open
    _install()
    with _lock:
        _open += 1
    try:
        yield
    finally:
        with _lock:
            _open -= 1


@contextlib.contextmanager
def step(name: str, number: int) -> Iterator[None]:
    """Say of what is checked in this block that it belongs to a function's n-th call; the outermost counts."""
    before = getattr(_local, "step", None)
    _local.step = before or f"call {number} of {name}"
    try:
        yield
    finally:
        _local.step = before


def check(what: str, values: Any) -> None:
    """Raise a NonFiniteError if a nested structure holds a NaN or an Inf."""
    for tensor in _floating(values):
        if not bool(ops.all(ops.isfinite(tensor))):
            _fail(what, tensor)


def _fail(what: str, tensor: Any) -> NoReturn:
    values = ops.convert_to_numpy(ops.cast(tensor, "float32"))
    kind = "NaN" if (values != values).any() else "Inf"
    count = int((values != values).sum() if kind == "NaN" else (abs(values) == float("inf")).sum())
    where = getattr(_local, "step", None)
    raise NonFiniteError(
        f"{kind} in {what}{f', in {where}' if where else ''}: {count} of {values.size} values, shape {values.shape}"
    )


def _floating(values: Any) -> list[Any]:
    backend = backends.current()
    return [
        leaf
        for value in tree.flatten(values)
        for leaf in _parts(value)
        if backend.is_tensor(leaf)
        and not backend.is_symbolic(leaf)
        and keras.backend.is_float_dtype(keras.backend.standardize_dtype(leaf.dtype))
    ]


def _parts(value: Any) -> list[Any]:
    taken = backends.current().flatten_composite(value)
    return taken[1] if taken else [value]


def _install() -> None:
    for attribute, make in _HOOKS.items():
        hooks.use(attribute, make)


def _checking(check: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def make(own: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(own)
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            return check(own, self, *args, **kwargs) if _open else own(self, *args, **kwargs)

        return call

    return make


def _check_layer(own: Callable[..., Any], layer: Any, *args: Any, **kwargs: Any) -> Any:
    name = f"layer {layer.path or layer.name!r}"
    args = _guard_all(args, f"the backward pass of {name}")
    outputs = own(layer, *args, **kwargs)
    check(f"the output of {name}", outputs)
    return _guard_all(outputs, f"the backward pass of what follows {name}")


def _check_loss(own: Callable[..., Any], loss: Any, *args: Any, **kwargs: Any) -> Any:
    value = own(loss, *args, **kwargs)
    check(f"the loss {loss.name!r}", value)
    return value


def _check_apply(own: Callable[..., Any], optimizer: Any, grads: Any, trainable_variables: Any = None) -> Any:
    grads = list(grads)
    # An optimizer that scales the loss looks for overflow by itself, and skips the step.
    if not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        for gradient, variable in zip(
            grads, trainable_variables or optimizer._trainable_variables, strict=False
        ):
            check(f"the gradient of {variable.path}", gradient)
    return own(optimizer, grads, trainable_variables)


_HOOKS = {
    "keras.Layer.__call__": _checking(_check_layer),
    "keras.Loss.__call__": _checking(_check_loss),
    "keras.Optimizer.apply": _checking(_check_apply),
}


def _guard_all(values: Any, what: str) -> Any:
    """Return the same values, whose gradients are checked on their way back."""
    watched = {id(leaf) for leaf in _floating(values)}
    return tree.map_structure(lambda leaf: _guard(leaf, what) if id(leaf) in watched else leaf, values)


def _guard(tensor: Any, what: str) -> Any:
    guarded = backends.current().with_gradient_hook(tensor, lambda gradient: check(what, gradient))
    if (mask := mask_of(tensor)) is not None:
        set_mask(guarded, mask)
    return guarded
