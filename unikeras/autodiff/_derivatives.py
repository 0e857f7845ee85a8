"""jacobian, hessian, hvp: derivatives of more than one number."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

from unikeras import backends
from unikeras.autodiff._flat_functions import Arguments, Result, is_one, numbers_of
from unikeras.autodiff._gradient_tape import GradientTape
from unikeras.autodiff._jacobian_rows import basis, zeros
from unikeras.autodiff._nested import flatten, pack
from unikeras.autodiff._transforms import grad, jvp, push, reverse
from unikeras.autodiff._vmap import move, vmap
from unikeras.errors import ArgumentValueError

Mode = Literal["auto", "forward", "reverse"]


def jacobian(
    f: Callable[..., Any], argnums: int | Sequence[int] = 0, mode: Mode = "auto"
) -> Callable[..., Any]:
    """Return a function that computes the derivative of every output of `f` by every input.

    Args:
        f: a function of nested structures of tensors that returns one.
        argnums: which positional arguments to differentiate with respect to: an int, or several.
        mode: `"reverse"` takes a backward pass per output element, `"forward"` a forward pass per input
            element, each as one batched computation; `"auto"` takes reverse.

    Returns:
        A function of `f`'s arguments. Its result has the structure of `f`'s result, with each leaf replaced
        by the structure of the argument (a tuple of them where argnums is a sequence), whose leaves have the
        shape `output.shape + input.shape`.

    Raises:
        ArgumentError: as `value_and_grad`, or an output is not floating or complex.
        ArgumentValueError: as `value_and_grad`, or mode is something else.

    Source:
        jax.jacobian, jax.jacfwd (jax/_src/api.py).

    Example:
        >>> import keras, unikeras as uk
        >>> x = keras.ops.convert_to_tensor([1.0, 2.0])
        >>> keras.ops.convert_to_numpy(uk.jacobian(lambda x: x**2)(x)).tolist()
        [[2.0, 0.0], [0.0, 4.0]]
    """
    if mode not in ("auto", "forward", "reverse"):
        raise ArgumentValueError(f"mode must be 'auto', 'forward' or 'reverse', not {mode!r}")
    numbers = numbers_of(argnums)
    compute = _forward if mode == "forward" else _reverse

    @functools.wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        arguments = Arguments(args, numbers)
        result, rows = compute(lambda leaves: f(*arguments.exchange(leaves), **kwargs), arguments.leaves)
        packed = [arguments.pack(row) for row in rows]
        return pack(result, [row[0] if is_one(argnums) else tuple(row) for row in packed])

    return wrapped


def hessian(f: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """Return a function that computes the second derivatives of `f`.

    Args:
        f: a function that returns a scalar; what is not a scalar gives the hessian of each element.
        argnums: which positional arguments to differentiate with respect to: an int, or several.

    Returns:
        A function of `f`'s arguments; its result for one tensor has shape
        `output.shape + input.shape + input.shape`.

    Raises:
        ArgumentError: as `jacobian`.

    Source:
        jax.hessian (jax/_src/api.py).

    Example:
        >>> import keras, unikeras as uk
        >>> x = keras.ops.convert_to_tensor([1.0, 2.0])
        >>> keras.ops.convert_to_numpy(uk.hessian(lambda x: keras.ops.sum(x**3))(x)).tolist()
        [[6.0, 0.0], [0.0, 12.0]]
    """
    return jacobian(jacobian(f, argnums), argnums)


def hvp(f: Callable[..., Any], x: Any, v: Any) -> Any:
    """Return the product of a function's hessian at `x` with a vector, without computing the hessian.

    Args:
        f: a function of one argument, a nested structure of tensors, that returns a scalar.
        x: where the hessian is taken.
        v: the vector: the structure and shapes of `x`.

    Returns:
        The product, in the structure of `x`.

    Raises:
        ArgumentError: x or v holds something that is no tensor, or they do not fit each other.

    Source:
        Pearlmutter (1994), Fast exact multiplication by the Hessian; forward over reverse, as in JAX's
        autodiff cookbook.

    Example:
        >>> import keras, unikeras as uk
        >>> x = keras.ops.convert_to_tensor([1.0, 2.0])
        >>> keras.ops.convert_to_numpy(uk.hvp(lambda x: keras.ops.sum(x**3), x, keras.ops.ones((2,)))).tolist()
        [6.0, 12.0]
    """
    return push(grad(f), (x,), (v,), ("x", "v"))[1]


Rows = tuple[Any, list[list[Any]]]


def _reverse(run: Callable[[Sequence[Any]], Any], leaves: list[Any]) -> Rows:
    from keras import ops

    if backends.current().native_vjp() is not None:
        (result, _), pullback = reverse(lambda values: _take_result(run(values)), leaves, persistent=True)
        outputs = flatten(result)
        return result, [_pull_rows(pullback, outputs, number) for number in range(len(outputs))]
    own = [ops.copy(leaf) for leaf in leaves]
    with GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        tape.watch(own)
        result = _take_result(run(own))
    return result.value, [tape.jacobian(output, own, "zero") for output in result.outputs]


def _take_result(returned: Any) -> Result:
    result = Result(returned)
    result.check_differentiable()
    return result


def _pull_rows(pullback: Callable[[Any], list[Any]], outputs: list[Any], number: int) -> list[Any]:
    from keras import ops

    weights = [ops.zeros_like(output) for output in outputs]

    def one(row: Any) -> Any:
        return pullback([row if i == number else weight for i, weight in enumerate(weights)])

    shape = tuple(outputs[number].shape)
    if not math.prod(shape):
        return [ops.zeros(shape + tuple(row.shape), dtype=row.dtype) for row in one(weights[number])]
    rows = vmap(one)(basis(outputs[number]))
    return [ops.reshape(row, shape + tuple(row.shape[1:])) for row in rows]


def _forward(run: Callable[[Sequence[Any]], Any], leaves: list[Any]) -> Rows:
    from keras import ops

    result, columns = run(leaves), []
    outputs = [ops.convert_to_tensor(output) for output in flatten(result)]
    for number, leaf in enumerate(leaves):
        if not math.prod(leaf.shape):
            columns.append([zeros(output, leaf) for output in outputs])
            continue

        def along(tangent: Any, number: int = number) -> Any:
            tangents = [tangent if i == number else ops.zeros_like(x) for i, x in enumerate(leaves)]
            return jvp(lambda *values: _take_result(run(values)).value, leaves, tangents)[1]

        mapped = flatten(vmap(along)(basis(leaf)))
        columns.append(
            [
                ops.reshape(move(column, 0, -1), tuple(output.shape) + tuple(leaf.shape))
                for column, output in zip(mapped, outputs, strict=True)
            ]
        )
    return result, [list(row) for row in zip(*columns, strict=True)]
