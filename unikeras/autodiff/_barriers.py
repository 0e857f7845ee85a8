"""stop_gradient, no_grad: how gradients are taken, or not."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from unikeras import backends


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
