"""Programs on JAX: find the Keras variables by tracing, then jit the pure function of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import keras

from unikeras.backends._base import Program
from unikeras.backends.jax import _trace
from unikeras.backends.jax._risks import may_fail
from unikeras.backends.jax._scope import RecordingScope
from unikeras.backends.jax._signals import interrupts_wait
from unikeras.errors import StateError

# One at a time: between the reading of a variable and the writing of its new value its array may be given away.
_lock = threading.RLock()


def compile_program(
    f: Callable[[Sequence[Any]], list[Any]], shapes: Sequence[tuple[Any, ...]], dtypes: Sequence[Any]
) -> Program:
    """Trace `f` twice: once on abstract values to see which variables are its state, then as a function of them."""
    arguments = [jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in zip(shapes, dtypes, strict=True)]
    with RecordingScope() as scope:
        jax.eval_shape(f, arguments)
    read = [variable for key, variable in scope.read.items() if key not in scope.written]
    program = _Program(f, list(scope.written.values()), read)
    program.trace(arguments)
    return Program(program, writes=bool(scope.written))


class _Program:
    """A function, and the variables that it reads and writes."""

    def __init__(
        self,
        f: Callable[[Sequence[Any]], list[Any]],
        written: list[keras.Variable],
        read: list[keras.Variable],
    ) -> None:
        self._f = f
        self._written = written
        self._read = read
        self._in_place = jax.jit(self._pure, donate_argnums=0)

    def trace(self, arguments: Sequence[Any]) -> None:
        """Run the function's body, for the last time."""
        traced = self._in_place.trace(_values(self._written), _values(self._read), arguments)
        self._careful = may_fail(traced.jaxpr)
        self._copying = jax.jit(_flat_function(traced))

    def __call__(self, arrays: Sequence[Any]) -> list[Any]:
        with _lock, interrupts_wait():
            results, new = self._run(_values(self._written), _values(self._read), arrays)
            if new and isinstance(new[0], jax.core.Tracer):
                raise StateError(
                    f"a uk.function that writes {self._written[0].path} is called inside jax.jit or another of JAX's "
                    "own transforms, which would lose what it writes; use uk.function and uk.grad around it"
                )
            for variable, value in zip(self._written, new, strict=True):
                variable._direct_assign(value)
            return results

    def _run(self, written: list[Any], read: list[Any], arrays: Sequence[Any]) -> Any:
        if _trace.is_recording():
            # A tape keeps the values that it saw, so none may be given away.
            return self._copying(written, read, arrays)
        if self._careful or jax.config.jax_debug_nans or jax.config.jax_debug_infs:
            # Should it fail, the variables still have what they had.
            return jax.block_until_ready(self._copying(written, read, arrays))
        return self._in_place(_unshared(written, [*read, *arrays]), read, arrays)

    def _pure(self, written: Sequence[Any], read: Sequence[Any], arrays: Sequence[Any]) -> Any:
        known = dict(zip(map(id, [*self._written, *self._read]), [*written, *read], strict=True))
        with RecordingScope(known, initialize_variables=False) as scope:
            results = self._f(arrays)
        if late := [v.path for key, v in {**scope.read, **scope.written}.items() if key not in known]:
            raise StateError(
                f"{', '.join(late)} turned up only when the function ran a second time; "
                "create variables in the first call, or before it"
            )
        return results, [_strong(scope.state_mapping[id(variable)]) for variable in self._written]


def _flat_function(traced: Any) -> Callable[..., Any]:
    """Return what was traced as a function that does not run the Python again."""
    run, structure = jax.extend.core.jaxpr_as_fun(traced.jaxpr), traced.out_tree

    def call(*args: Any) -> Any:
        return jax.tree.unflatten(structure, run(*jax.tree.leaves(args)))

    return call


def _values(variables: Sequence[keras.Variable]) -> list[Any]:
    if _trace.is_recording():
        return [variable.value for variable in variables]  # which tells the tapes
    return [variable._value for variable in variables]


def _strong(value: Any) -> Any:
    # A weakly typed value would look new to the next call, and be traced again.
    return jax.lax.convert_element_type(value, value.dtype) if getattr(value, "weak_type", False) else value


def _unshared(donated: Sequence[Any], others: Sequence[Any]) -> list[Any]:
    """Copy values that are about to be donated and are held twice: an array can be given away once."""
    taken = {id(value) for value in others}
    given = []
    for value in donated:
        given.append(jnp.array(value, copy=True) if id(value) in taken else value)
        taken.add(id(value))
    return given
