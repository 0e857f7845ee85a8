"""Transforms of functions, with JAX's names and conventions."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from unikeras.autodiff._tape import GradientTape
from unikeras.errors import ArgumentError


def value_and_grad(
    f: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    variables: Sequence[Any] | None = None,
) -> Callable[..., Any]:
    """Return a function that computes both `f` and its gradient.

    Args:
        f: a function whose result, or its first part with `has_aux`, is a tensor; what is not a scalar
            is summed for the gradient.
        argnums: which positional arguments to differentiate with respect to: an int, or several. Each may
            be a nested structure of tensors.
        has_aux: `f` returns `(value, aux)`; aux may be any Python object.
        variables: Keras variables to differentiate with respect to, in place of arguments.

    Returns:
        A function of `f`'s arguments that returns `(value, gradient)`, or `((value, aux), gradient)` with
        `has_aux`. The gradient has the structure of the argument (a tuple of them where argnums is a
        sequence), with zeros for what `f` does not use. With `variables` it is a list, one per variable,
        with None for a variable that `f` does not use, so that an optimizer leaves it alone.

    Raises:
        ArgumentError: argnums names an argument that was not passed, or f returns no tensor.

    Source:
        jax.value_and_grad (jax/_src/api.py).

    Example:
        >>> import keras, unikeras as uk
        >>> value, gradient = uk.value_and_grad(lambda x: keras.ops.sum(x**2))(keras.ops.ones((3,)))
        >>> float(value), keras.ops.convert_to_numpy(gradient).tolist()
        (3.0, [2.0, 2.0, 2.0])
    """

    @functools.wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if variables is None:
            args, sources = _separate(args, argnums)
            unconnected = "zero"
        else:
            sources, unconnected = list(variables), "none"
        with GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(sources)
            result = f(*args, **kwargs)
        value = result[0] if has_aux else result
        gradients = tape.gradient(value, sources, unconnected_gradients=unconnected)  # type: ignore[arg-type]
        return result, gradients

    return wrapped


def _separate(args: tuple[Any, ...], argnums: int | Sequence[int]) -> tuple[tuple[Any, ...], Any]:
    """Give the arguments to differentiate tensors of their own: one tensor may be passed as two arguments."""
    from keras import ops, tree

    numbers = [argnums] if isinstance(argnums, int) else list(argnums)
    if wrong := [number for number in numbers if not -len(args) <= number < len(args)]:
        raise ArgumentError(
            f"argnums names argument {wrong[0]}; the call has {len(args)} positional arguments"
        )
    own = {
        number % len(args): tree.map_structure(lambda x: ops.copy(ops.convert_to_tensor(x)), args[number])
        for number in numbers
    }
    sources = [own[number % len(args)] for number in numbers]
    return (
        tuple(own.get(i, arg) for i, arg in enumerate(args)),
        sources[0] if isinstance(argnums, int) else tuple(sources),
    )
