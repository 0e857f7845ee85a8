"""custom_gradient, stop_gradient, no_grad: how gradients are taken, or not."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

from unikeras import backends


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """Give a function a gradient of its own.

    Args:
        f: takes tensors and returns `(y, g)`: its result, a tensor, and a function that takes the gradient with
            respect to `y` and returns the gradient with respect to `f`'s arguments: one tensor, or a tuple with
            one per argument.

    Returns:
        A function of `f`'s arguments that returns `y`.

    Source:
        tf.custom_gradient; keras.ops.custom_gradient, whose `g` is called differently on each backend.

    Example:
        >>> import keras, unikeras as uk
        >>> @uk.custom_gradient
        ... def reversed_gradient(x):
        ...     return x * 1.0, lambda upstream: -upstream
        >>> float(uk.grad(reversed_gradient)(keras.ops.ones(())))
        -1.0
    """
    from keras import ops

    def with_keras_convention(*args: Any, **kwargs: Any) -> Any:
        value, gradient = f(*args, **kwargs)

        # Keras on PyTorch passes the arguments first and `upstream` by name; elsewhere it comes first.
        def call(*given: Any, upstream: Any = None) -> Any:
            return gradient(given[0] if upstream is None else upstream)

        return value, call

    return functools.wraps(f)(ops.custom_gradient(with_keras_convention))


def stop_gradient(x: Any) -> Any:
    """Return tensors through which no gradient flows.

    Args:
        x: a tensor, a Keras variable, or a nested structure of them.

    Returns:
        The same values, in the same structure; variables become tensors.

    Source:
        jax.lax.stop_gradient, tf.stop_gradient, torch.Tensor.detach.

    Example:
        >>> import keras, unikeras as uk
        >>> float(uk.grad(lambda x: x * uk.stop_gradient(x))(keras.ops.ones(()) * 3.0))
        3.0
    """
    from keras import ops, tree

    return tree.map_structure(lambda leaf: ops.stop_gradient(ops.convert_to_tensor(leaf)), x)


@contextlib.contextmanager
def no_grad() -> Iterator[None]:
    """Compute without recording, for any tape; a context manager, and a decorator as `@uk.no_grad()`.

    Source:
        torch.no_grad.

    Example:
        >>> import keras, unikeras as uk
        >>> x = keras.ops.ones(())
        >>> with uk.GradientTape() as tape:
        ...     tape.watch(x)
        ...     with uk.no_grad():
        ...         y = x * 2.0
        >>> tape.gradient(y, x) is None
        True
    """
    with backends.current().no_grad():
        yield
