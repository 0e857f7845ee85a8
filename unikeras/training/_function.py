"""uk.function: a Python function of tensors, compiled together with the Keras variables that it uses."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, overload

from unikeras import backends
from unikeras.errors import ArgumentError


class Function:
    """A function that is compiled by the backend at its first call; made by `uk.function`."""

    def __init__(self, f: Callable[..., Any], jit_compile: bool | str) -> None:
        functools.update_wrapper(self, f)
        self._f = f
        self._jit_compile = jit_compile
        self._compiled: Callable[..., Any] | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._compiled is None:
            self._compiled = backends.current().compile(self._f, self._jit_compile)
        return self._compiled(*args, **kwargs)

    def __get__(self, instance: Any, owner: type | None = None) -> Function:
        """Return the method of one instance, compiled once for it."""
        if instance is None:
            return self
        name = f"_compiled_{self._f.__name__}"
        if name not in vars(instance):
            # Not through setattr: Keras objects track what is set on them.
            vars(instance)[name] = Function(self._f.__get__(instance, owner), self._jit_compile)
        return vars(instance)[name]

    def __repr__(self) -> str:
        return f"<uk.function {self._f.__qualname__}>"


@overload
def function(f: Callable[..., Any], *, jit_compile: bool | str = "auto") -> Function: ...
@overload
def function(
    f: None = None, *, jit_compile: bool | str = "auto"
) -> Callable[[Callable[..., Any]], Function]: ...
def function(f: Callable[..., Any] | None = None, *, jit_compile: bool | str = "auto") -> Any:
    """Compile a function that reads and writes Keras variables; also as a decorator, also of methods.

    The variables (weights, optimizer slots, metrics, seeds, BatchNorm statistics) are found by tracing, not
    declared; they are read before and written after each call. tf.function on TensorFlow, jax.jit of the
    pure function on JAX with the written state donated, plain eager on PyTorch unless asked otherwise.

    Args:
        f: takes and returns nested structures of tensors, numpy arrays (they arrive as tensors) and Python
            values. New shapes, dtypes, structures and Python values cause a new trace.
        jit_compile: `"auto"` for what is fastest where it is supported; True asks for XLA on TensorFlow and
            for torch.compile on PyTorch; False runs without compiling on JAX and PyTorch.

    Returns:
        A callable with `f`'s signature.

    Raises:
        ArgumentError: f is not callable, or jit_compile is something else.

    Example:
        >>> import keras, unikeras as uk
        >>> total = keras.Variable(0.0, trainable=False)
        >>> @uk.function
        ... def add(x):
        ...     total.assign_add(x)
        ...     return total * 2
        >>> float(add(keras.ops.ones(()))), float(add(keras.ops.ones(())))
        (2.0, 4.0)
    """
    if jit_compile not in (True, False, "auto"):
        raise ArgumentError(f"jit_compile must be True, False or 'auto', not {jit_compile!r}")
    if f is None:
        return functools.partial(function, jit_compile=jit_compile)
    if not callable(f):
        raise ArgumentError(f"uk.function compiles a callable, not a {type(f).__name__}")
    return Function(f, jit_compile)
