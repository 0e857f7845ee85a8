"""grad, value_and_grad, vjp, jvp: transforms of functions, with JAX's names and conventions."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from unikeras import backends
from unikeras._keras.variables import dtype_of, is_differentiable, is_variable
from unikeras.autodiff._flat_functions import Arguments, Result, is_one, numbers_of
from unikeras.autodiff._gradient_tape import GradientTape
from unikeras.autodiff._nested import pack
from unikeras.autodiff._partners import match_leaves
from unikeras.errors import ArgumentError, ArgumentValueError


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
        ArgumentError: an argument holds something that is no tensor or an integer, or f returns no tensor or one that
            is not floating or complex.
        ArgumentValueError: argnums names an argument that was not passed.

    Source:
        jax.value_and_grad (jax/_src/api.py).

    Example:
        >>> import keras, unikeras as uk
        >>> value, gradient = uk.value_and_grad(lambda x: keras.ops.sum(x**2))(keras.ops.ones((3,)))
        >>> float(value), keras.ops.convert_to_numpy(gradient).tolist()
        (3.0, [2.0, 2.0, 2.0])
    """
    if variables is not None:
        return _of_variables(f, list(variables), has_aux)
    numbers = numbers_of(argnums)

    @functools.wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        arguments = Arguments(args, numbers)

        def run(leaves: Sequence[Any]) -> Result:
            result = Result(f(*arguments.exchange(leaves), **kwargs), has_aux)
            result.check_differentiable()
            return result

        (value, aux), pullback = reverse(run, arguments.leaves, persistent=False)
        gradients = arguments.pack(pullback(None))
        return (value, aux) if has_aux else value, gradients[0] if is_one(argnums) else tuple(gradients)

    return wrapped


def grad(
    f: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    variables: Sequence[Any] | None = None,
) -> Callable[..., Any]:
    """Return a function that computes the gradient of `f`.

    Args:
        f: as for `value_and_grad`.
        argnums: as for `value_and_grad`.
        has_aux: as for `value_and_grad`.
        variables: as for `value_and_grad`.

    Returns:
        A function of `f`'s arguments that returns the gradient, or `(gradient, aux)` with `has_aux`.

    Raises:
        ArgumentError: as `value_and_grad`.

    Source:
        jax.grad (jax/_src/api.py); what is not a scalar is summed, as in the pending keras.ops.grad.

    Example:
        >>> import keras, unikeras as uk
        >>> float(uk.grad(uk.grad(lambda x: x**3))(keras.ops.convert_to_tensor(2.0)))
        12.0
    """
    both = value_and_grad(f, argnums, has_aux, variables)

    @functools.wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        value, gradient = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return wrapped


def vjp(f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """Run a function and return how gradients are pulled back through it.

    Args:
        f: a function of nested structures of tensors that returns one.
        *primals: its arguments.

    Returns:
        `f(*primals)`, and a function from output gradients, in the structure of that result, to a tuple of
        gradients, one per primal, in its structure. It may be called any number of times.

    Raises:
        ArgumentError: a primal holds something that is no tensor, or f returns something that is none.

    Source:
        jax.vjp (jax/_src/api.py).

    Example:
        >>> import keras, unikeras as uk
        >>> outputs, pullback = uk.vjp(lambda x, y: x * y, keras.ops.ones(()) * 3.0, keras.ops.ones(()) * 4.0)
        >>> [float(gradient) for gradient in pullback(keras.ops.ones(()))]
        [4.0, 3.0]
    """
    arguments = Arguments(primals, range(len(primals)))
    (outputs, _), pullback = reverse(
        lambda leaves: Result(f(*arguments.exchange(leaves))), arguments.leaves, persistent=True
    )

    def pull(weights: Any) -> tuple[Any, ...]:
        return tuple(
            arguments.pack(pullback(match_leaves("the output gradients", weights, "the result", outputs)))
        )

    return outputs, pull


def jvp(f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """Run a function and push tangents forward through it.

    Args:
        f: a function of nested structures of tensors that returns one.
        primals: its arguments, as a sequence.
        tangents: for each primal a tangent of its structure and shapes.

    Returns:
        `f(*primals)`, and the tangent of that result, in its structure.

    Raises:
        ArgumentError: primals and tangents do not fit each other, or something in them is no tensor.

    Source:
        jax.jvp (jax/_src/api.py).

    Example:
        >>> import keras, unikeras as uk
        >>> value, tangent = uk.jvp(keras.ops.square, (keras.ops.ones(()) * 3.0,), (keras.ops.ones(()),))
        >>> float(value), float(tangent)
        (9.0, 6.0)
    """
    if not isinstance(primals, tuple | list) or not isinstance(tangents, tuple | list):
        raise ArgumentError("primals and tangents must be sequences: uk.jvp(f, (x,), (v,))")
    if len(primals) != len(tangents):
        raise ArgumentValueError(
            f"there are {len(tangents)} tangents for {len(primals)} primals; pass one for each"
        )
    return push(f, primals, tangents)


def push(
    f: Callable[..., Any],
    primals: Sequence[Any],
    tangents: Sequence[Any],
    names: tuple[str, str] = ("primals", "tangents"),
) -> tuple[Any, Any]:
    """Return what `jvp` returns; the names are those of its arguments in messages."""
    from unikeras._keras.scopes import WriteOnce, after_building

    arguments = Arguments(primals, range(len(primals)), names[0])
    if not arguments.leaves:
        raise ArgumentError(f"{names[0]} hold no tensor; there is nothing to differentiate with respect to")
    directions = match_leaves(names[1], list(tangents), names[0], pack(list(primals), arguments.leaves))
    kept: dict[str, Any] = {}

    def run(leaves: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        with WriteOnce() as scope:
            result = Result(f(*arguments.exchange(leaves)))
        kept.update(result=result, written=scope.written)
        return result.outputs, scope.new_values

    outputs, output_tangents, new_values = after_building(
        lambda: backends.current().jvp(run, arguments.leaves, directions)
    )
    for variable, value in zip(kept["written"], new_values, strict=True):
        variable.assign(value)
    value, _ = kept["result"].rebuild(outputs, [])
    return value, pack(value, _tangents(outputs, output_tangents))


def _tangents(outputs: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
    """Return zeros for outputs that have no tangent: frameworks have integers of several kinds for them."""
    from keras import ops

    return [
        tangent if is_differentiable(output) else ops.zeros_like(output)
        for output, tangent in zip(outputs, tangents, strict=True)
    ]


def _of_variables(f: Callable[..., Any], variables: list[Any], has_aux: bool) -> Callable[..., Any]:
    from unikeras._keras.scopes import WriteOnce

    _check_variables(variables)

    @functools.wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        def run(leaves: Sequence[Any]) -> Result:
            with WriteOnce(variables, leaves):
                result = Result(f(*args, **kwargs), has_aux)
            result.check_differentiable()
            return result

        inside = _inside_transform(run, [variable.value for variable in variables])
        if inside is not None:
            (value, aux), pullback = inside
            return (value, aux) if has_aux else value, pullback(None)
        with GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            result = Result(f(*args, **kwargs), has_aux)
        result.check_differentiable()
        gradients = tape.gradient(result.outputs, variables)
        return (result.value, result.aux) if has_aux else result.value, gradients

    return wrapped


def reverse(
    run: Callable[[Sequence[Any]], Result], leaves: list[Any], persistent: bool
) -> tuple[tuple[Any, Any], Any]:
    """Run a function on tensors; return (value, aux), and the pullback to those tensors."""
    from keras import ops

    inside = _inside_transform(run, leaves)
    if inside is not None:
        return inside
    # Tensors of their own: one tensor may be passed as two arguments.
    own = [ops.copy(leaf) for leaf in leaves]
    with GradientTape(persistent, watch_accessed_variables=False) as tape:
        tape.watch(own)
        result = run(own)

    def pullback(weights: Sequence[Any] | None) -> list[Any]:
        return tape.gradient(result.outputs, own, weights, unconnected_gradients="zero")

    return (result.value, result.aux), pullback


def _inside_transform(
    run: Callable[[Sequence[Any]], Result], leaves: list[Any]
) -> tuple[tuple[Any, Any], Any] | None:
    """Do the same inside a transform of the framework's own under which no tape records."""
    from keras import ops

    differentiate = backends.current().native_vjp()
    if differentiate is None:
        return None
    kept: list[Result] = []

    def flat(values: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        kept.append(run(values))
        return kept[-1].outputs, kept[-1].aux_tensors()

    outputs, others, pull = differentiate(flat, leaves)
    return kept[-1].rebuild(outputs, others), lambda weights: pull(
        weights or [ops.ones_like(o) for o in outputs]
    )


def _check_variables(variables: Sequence[Any]) -> None:
    problems = [
        f"variables[{number}] is a {type(variable).__name__}"
        if not is_variable(variable)
        else f"variables[{number}] has dtype {dtype_of(variable)}"
        for number, variable in enumerate(variables)
        if not (is_variable(variable) and is_differentiable(variable))
    ]
    if problems:
        raise ArgumentError(
            f"{'; '.join(problems)}; variables must be Keras variables of floating or complex dtype"
        )
