"""`keras.ops` control flow whose bodies assign to variables: cond, switch, scan, map, fori_loop, while_loop.

Under JAX a body is traced, so Keras' own operators let a variable end up with the body's tracer; on the other backends
such bodies work, `LossScaleOptimizer.apply` is made of them, and Dropout assigns to its seed. Here the variables that
a body assigns to are found by tracing it once; their values become part of what the operator carries and returns.
Where a body assigns nothing, Keras' own operator runs.

These may go when Keras carries state through them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import keras
from keras.src.backend import get_stateless_scope, in_stateless_scope

from unikeras._keras import hooks
from unikeras._keras.scopes import ReadOnly, WriteOnce
from unikeras.errors import TransformError


def install() -> None:
    """Put operators that carry state in the place of Keras' own."""
    for name, make in _OPERATORS.items():
        hooks.use(f"keras.src.backend.jax.core.{name}", make)


def _unless_python(make: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(make)
    def unless_python(own: Callable[..., Any]) -> Callable[..., Any]:
        carrying = make(own)

        @functools.wraps(own)
        def operator(*args: Any, **kwargs: Any) -> Any:
            # Without jit JAX runs bodies as Python, where an assignment is one.
            return (own if jax.config.jax_disable_jit else carrying)(*args, **kwargs)

        return operator

    return unless_python


def _cond(own: Callable[..., Any]) -> Callable[..., Any]:
    def cond(pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
        state = _State.of((true_fn, ()), (false_fn, ()))
        if not state.variables:
            return own(pred, true_fn, false_fn)
        branches = [functools.partial(state.run, branch, state.values()) for branch in (true_fn, false_fn)]
        return state.assign(own(pred, *branches))

    return cond


def _switch(own: Callable[..., Any]) -> Callable[..., Any]:
    def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
        state = _State.of(*((branch, operands) for branch in branches))
        if not state.variables:
            return own(index, branches, *operands)
        carrying = [functools.partial(state.run, branch) for branch in branches]
        return state.assign(own(index, carrying, state.values(), *operands))

    return switch


def _scan(own: Callable[..., Any]) -> Callable[..., Any]:
    def scan(f: Callable[..., Any], init: Any, xs: Any = None, *args: Any, **kwargs: Any) -> Any:
        state = _State.of((f, (init, _slice_of(xs))))
        if not state.variables:
            return own(f, init, xs, *args, **kwargs)

        def body(carry: Any, x: Any) -> Any:
            (after, y), values = state.run(f, carry[1], carry[0], x)
            return (after, values), y

        (last, values), ys = own(body, (init, state.values()), xs, *args, **kwargs)
        return state.assign(((last, ys), values))

    return scan


def _map(own: Callable[..., Any]) -> Callable[..., Any]:
    def map_(f: Callable[..., Any], xs: Any) -> Any:
        state = _State.of((f, (_slice_of(xs),)))
        if not state.variables:
            return own(f, xs)

        def body(values: Any, x: Any) -> Any:
            y, values = state.run(f, values, x)
            return values, y

        values, ys = jax.lax.scan(body, state.values(), xs)
        return state.assign((ys, values))

    return map_


def _fori_loop(own: Callable[..., Any]) -> Callable[..., Any]:
    def fori_loop(lower: Any, upper: Any, body_fun: Callable[..., Any], init_val: Any) -> Any:
        index = jax.ShapeDtypeStruct((), jnp.result_type(lower, upper))
        state = _State.of((body_fun, (index, init_val)))
        if not state.variables:
            return own(lower, upper, body_fun, init_val)
        carry = own(
            lower,
            upper,
            lambda i, carry: state.run(body_fun, carry[1], i, carry[0]),
            (init_val, state.values()),
        )
        return state.assign(carry)

    return fori_loop


def _while_loop(own: Callable[..., Any]) -> Callable[..., Any]:
    def while_loop(
        cond: Callable[..., Any], body: Callable[..., Any], loop_vars: Any, maximum_iterations: Any = None
    ) -> Any:
        is_one = not isinstance(loop_vars, tuple | list)
        start = (loop_vars,) if is_one else tuple(loop_vars)
        if tested := _State.of((cond, start)).variables:
            raise TransformError(
                f"the condition of a while_loop assigns to {_paths(tested)}; JAX runs a condition once more than the "
                "body and keeps nothing of it. Assign in the body"
            )
        state = _State.of((body, start))
        if not state.variables:
            return own(cond, body, loop_vars, maximum_iterations)

        def carrying(carried: Any, values: Any) -> Any:
            after, values = state.run(body, values, *carried)
            return (after,) if is_one else tuple(after), values

        last, values = own(
            lambda carried, values: state.run(cond, values, *carried)[0],
            carrying,
            (start, state.values()),
            maximum_iterations,
        )
        return state.assign((last[0] if is_one else last, values))

    return while_loop


def _vectorized_map(own: Callable[..., Any]) -> Callable[..., Any]:
    def vectorized_map(function: Callable[..., Any], elements: Any) -> Any:
        def run(element: Any) -> Any:
            with ReadOnly():
                return function(element)

        return own(run, elements)

    return vectorized_map


_OPERATORS = {
    "cond": _unless_python(_cond),
    "switch": _unless_python(_switch),
    "scan": _unless_python(_scan),
    "map": _unless_python(_map),
    "fori_loop": _unless_python(_fori_loop),
    "while_loop": _unless_python(_while_loop),
    "vectorized_map": _unless_python(_vectorized_map),
}


class _State:
    """The variables that bodies assign to.

    Attributes:
        variables: each once, in the order of the first assignment.
    """

    def __init__(self, variables: list[keras.Variable]) -> None:
        self.variables = variables

    @classmethod
    def of(cls, *bodies: tuple[Callable[..., Any], Any]) -> _State:
        """Find what bodies assign to, each given with its arguments."""
        return cls(list({id(v): v for body, args in bodies for v in _assigned(body, args)}.values()))

    def values(self) -> list[Any]:
        """Return what the variables hold now."""
        return [_strong(_value(variable)) for variable in self.variables]

    def run(self, body: Callable[..., Any], values: Sequence[Any], *args: Any) -> tuple[Any, list[Any]]:
        """Run a body on variables that hold `values`; return its result and what they hold after it."""
        with WriteOnce(self.variables, values) as scope:
            result = body(*args)
            return result, [_strong(scope.get_current_value(variable)) for variable in self.variables]

    def assign(self, outcome: tuple[Any, Sequence[Any]]) -> Any:
        """Give the variables the values that an operator carried out, and return its result."""
        result, values = outcome
        for variable, value in zip(self.variables, values, strict=True):
            variable.assign(value)
        return result


def _assigned(body: Callable[..., Any], args: Sequence[Any]) -> list[keras.Variable]:
    assigned: list[keras.Variable] = []

    def run(*args: Any) -> Any:
        with WriteOnce() as scope:
            result = body(*args)
        assigned.extend(scope.written)
        return result

    jax.eval_shape(run, *args)
    return assigned


def _value(variable: keras.Variable) -> Any:
    """Return what a variable holds: before the end of the call that creates it, what its initializer makes."""
    value = get_stateless_scope().get_current_value(variable) if in_stateless_scope() else variable._value
    return variable._initializer(variable.shape, dtype=variable.dtype) if value is None else value


def _slice_of(xs: Any) -> Any:
    """Describe one element of arrays along their first axis."""
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(jnp.shape(x)[1:], jnp.result_type(x)), xs)


def _strong(value: Any) -> Any:
    # What a loop carries must have one type; a Python number's is weak until something else meets it.
    value = jnp.asarray(value)
    return jax.lax.convert_element_type(value, value.dtype)


def _paths(variables: Sequence[keras.Variable]) -> str:
    return ", ".join(variable.path for variable in variables)
