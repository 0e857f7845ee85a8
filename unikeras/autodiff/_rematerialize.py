"""remat: less memory for more time. The function runs as a pure one, of its tensors and of the state at entry."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from unikeras import backends
from unikeras._keras.variables import is_variable
from unikeras.errors import ArgumentError


def remat(f: Callable[..., Any]) -> Callable[..., Any]:
    """Compute a function again in the backward pass instead of keeping what it computed.

    The second run sees the state that the first one saw: Dropout draws the same mask, and what layers assign
    (seeds, moving statistics) is assigned once. On TensorFlow and JAX the function is traced at each eager call.

    Args:
        f: a function of nested structures of tensors and other values that returns one. It may read and assign to
            Keras variables and use tensors from outside; all of them get their gradients.

    Returns:
        The same function, with the same gradient, in less memory and more time. Where the framework cannot compute
        it again, it keeps what it computes: inside `uk.vmap` and `uk.jvp` on PyTorch, inside `uk.jvp` on TensorFlow.

    Raises:
        ArgumentError: f returns a sparse or ragged tensor.

    Source:
        keras.remat; jax.checkpoint, torch.utils.checkpoint, tf.recompute_grad.

    Example:
        >>> import keras, unikeras as uk
        >>> float(uk.grad(uk.remat(lambda x: keras.ops.sin(x)))(keras.ops.zeros(())))
        1.0
    """

    @functools.wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        import keras
        from keras import tree

        from unikeras._keras.scopes import after_building

        call = _Call(f, args, kwargs)
        if any(isinstance(leaf, keras.KerasTensor) for leaf in tree.flatten([args, kwargs])):
            return f(*args, **kwargs)
        outputs = after_building(lambda: backends.current().remat(call.run, call.tensors))
        return call.finish(outputs)

    return wrapped


class _Call:
    """One call of a function, as a pure function of tensors that also returns what it assigned and the losses."""

    def __init__(self, f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        from keras import ops, tree

        self._f = f
        self._structure = [list(args), kwargs]
        self._leaves = tree.flatten(self._structure)
        self._places = [i for i, leaf in enumerate(self._leaves) if _is_tensor(leaf)]
        self.tensors = [ops.convert_to_tensor(self._leaves[i]) for i in self._places]
        for i in self._places:
            self._leaves[i] = None
        # Of the first run: the result, its leaves, the variables that were assigned to, the layers that added losses.
        self._result: Any = None
        self._results: list[Any] | None = None
        self._written: list[Any] = []
        self._adding: list[Any] = []

    def run(self, tensors: Sequence[Any]) -> list[Any]:
        """Run the function on other tensors; return the tensors of its result, and the new values of variables."""
        from keras import ops, tree

        from unikeras._keras.scopes import WriteOnceWithLosses

        leaves = list(self._leaves)
        for place, tensor in zip(self._places, tensors, strict=True):
            leaves[place] = tensor
        args, kwargs = tree.pack_sequence_as(self._structure, leaves)
        with WriteOnceWithLosses() as scope:
            result = self._f(*args, **kwargs)
        found = tree.flatten(result)
        if self._results is None:
            self._result, self._results = result, found
            self._written, self._adding = scope.written, scope.adding
        for leaf in found:
            if backends.current().flatten_composite(leaf) is not None:
                raise ArgumentError(
                    f"the function of uk.remat returned a {type(leaf).__name__}; it must return dense tensors"
                )
        results = [ops.convert_to_tensor(leaf) for leaf in found if _is_tensor(leaf)]
        return [*results, *scope.new_values, *map(ops.convert_to_tensor, scope.losses)]

    def finish(self, outputs: Sequence[Any]) -> Any:
        """Assign what the function assigned, add the losses that it added, and return its result."""
        from keras import tree

        assert self._results is not None
        remaining = iter(outputs)
        results = [next(remaining) if _is_tensor(leaf) else leaf for leaf in self._results]
        for variable in self._written:
            variable.assign(next(remaining))
        for layer in self._adding:
            layer.add_loss(next(remaining))
        packed = tree.pack_sequence_as(self._result, results)
        # The backward pass holds this object, which must hold no tensors.
        self.tensors.clear()
        self._result, self._results, self._written, self._adding = None, [], [], []
        return packed


def _is_tensor(value: Any) -> bool:
    return is_variable(value) or backends.current().is_tensor(value)
