"""custom_gradient: a function of nested structures with a hand-written gradient."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from unikeras import backends
from unikeras._keras.variables import is_differentiable, is_variable
from unikeras.autodiff._nested import flatten, pack, pair, transform
from unikeras.autodiff._partners import as_partner, is_tensor, problem_of
from unikeras.backends import variable_reads
from unikeras.errors import ArgumentError, ArgumentValueError, TransformError


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """Give a function a gradient of its own.

    Args:
        f: takes nested structures of tensors and returns `(y, g)`: its result, a nested structure of tensors, and a
            function that takes the gradients with respect to `y`, in its structure, and returns those with respect to
            `f`'s arguments: a tuple or list with one structure per argument, or that of the only argument. None stands
            for no gradient. What is returned for integers and Python values is ignored, and may be left out at the end.

    Returns:
        A function of `f`'s arguments that returns `y`. Keyword arguments of parameters that have a position count as
        positional. Keras variables arrive in `f` as tensors.

    Raises:
        ArgumentError: `f` returns no pair, or `g` returns gradients that do not match the arguments, or a keyword-only
            argument holds floating or complex tensors.
        TransformError: `f` reads a trainable Keras variable that is not among its arguments.

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

    @functools.wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        args, kwargs = _positional(f, args, kwargs)
        given = [transform(_tensor, arg) for arg in args]
        leaves = flatten(given)
        inputs = [leaf for leaf in leaves if _has_gradient(leaf)]
        kept: list[Any] = []

        def run(values: Sequence[Any]) -> tuple[list[Any], Callable[[Sequence[Any]], list[Any]]]:
            remaining = iter(values)
            exchanged = pack(given, [next(remaining) if _has_gradient(leaf) else leaf for leaf in leaves])
            with variable_reads.reads() as read:
                value, gradient = _take_pair(f(*exchanged, **kwargs))
            _check_reads(f, read)
            kept.append(value)
            return _outputs(value), lambda upstream: _gradients(
                gradient(_upstream(value, upstream)), exchanged
            )

        outputs = backends.current().custom_gradient(run, inputs)
        return pack(kept[-1], outputs)

    return wrapped


def _positional(f: Callable[..., Any], args: Any, kwargs: Any) -> tuple[Any, Any]:
    if kwargs:
        with contextlib.suppress(TypeError, ValueError):  # the function itself says what does not fit
            bound = inspect.signature(f).bind(*args, **kwargs)
            args, kwargs = bound.args, bound.kwargs
    _check_keywords(kwargs)
    return args, kwargs


def _check_keywords(kwargs: dict[str, Any]) -> None:
    names = [name for name, value in kwargs.items() if any(map(_has_gradient, flatten(value)))]
    if names:
        raise ArgumentError(
            f"{', '.join(names)}: a custom gradient has no place for keyword-only arguments that hold floating or "
            "complex tensors; give them a position, and return None for what has no gradient"
        )


def _check_reads(f: Callable[..., Any], read: Sequence[Any]) -> None:
    if read:
        raise TransformError(
            f"{getattr(f, '__name__', f)} reads the trainable variables {', '.join(v.path for v in read)}, and a "
            "custom gradient is for its arguments: pass them as arguments (they arrive as tensors), or set "
            "trainable = False on what has no gradient"
        )


def _tensor(leaf: Any) -> Any:
    from keras import ops

    return ops.convert_to_tensor(leaf) if is_variable(leaf) else leaf


def _has_gradient(leaf: Any) -> bool:
    return is_tensor(leaf) and is_differentiable(leaf)


def _take_pair(returned: Any) -> tuple[Any, Callable[[Any], Any]]:
    if not (isinstance(returned, tuple | list) and len(returned) == 2 and callable(returned[1])):
        raise ArgumentError(
            f"a function under custom_gradient returns (y, g), a result and a function; it returned a "
            f"{type(returned).__name__}"
        )
    return returned[0], returned[1]


def _outputs(value: Any) -> list[Any]:
    from keras import ops

    return [ops.convert_to_tensor(leaf) for leaf in flatten(value)]


def _upstream(value: Any, upstream: Sequence[Any]) -> Any:
    outputs = _outputs(value)
    return pack(
        value, [up if is_differentiable(y) else None for up, y in zip(upstream, outputs, strict=True)]
    )


def _gradients(returned: Any, args: Sequence[Any]) -> list[Any]:
    """Return one gradient, or None, for each tensor of the arguments that can have one."""
    given = _per_argument(returned, args)
    pairs, problems = [], []
    for number, (gradient, arg) in enumerate(zip(given, args, strict=True)):
        if gradient is None:
            gradient = transform(lambda _: None, arg)
        found, wrong = pair(f"gradient {number}", gradient, f"argument {number}", arg)
        pairs += [one for one in found if _has_gradient(one.wanted)]
        problems += wrong if any(map(_has_gradient, flatten(arg))) else []
    problems += [problem for one in pairs if (problem := problem_of(one, none=True))]
    if problems:
        raise ArgumentError(f"what a custom gradient returns must match the arguments: {'; '.join(problems)}")
    return [None if one.leaf is None else as_partner(one.leaf, one.wanted) for one in pairs]


def _per_argument(returned: Any, args: Sequence[Any]) -> list[Any]:
    several = isinstance(returned, tuple | list)
    if len(args) == 1 and several:
        is_structure = isinstance(args[0], tuple | list) and not (
            len(returned) == 1 and isinstance(returned[0], tuple | list)
        )
        several = not is_structure
    given = list(returned) if several else [returned]
    left_out = args[len(given) :]
    if len(given) > len(args) or any(_has_gradient(leaf) for leaf in flatten(list(left_out))):
        raise ArgumentValueError(
            f"a custom gradient returned {len(given)} gradients for {len(args)} arguments; return a tuple with one for "
            "each, None where there is none"
        )
    return given + [None] * len(left_out)
