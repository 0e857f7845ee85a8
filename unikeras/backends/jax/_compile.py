"""Functions with state on JAX: find the Keras variables by tracing, then jit the pure function of them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
from keras.src.backend import in_stateless_scope
from keras.src.backend.common.variables import AutocastScope

from unikeras.backends.jax import _trace
from unikeras.backends.jax._scope import RecordingScope
from unikeras.errors import ArgumentError, StateError

_ARRAY = object()  # stands where an array stood, once the arrays are taken out of a structure


class CompiledFunction:
    """`f`, traced once per structure, shape, dtype and Python value of its arguments."""

    def __init__(self, f: Callable[..., Any]) -> None:
        functools.update_wrapper(self, f)
        self._f = f
        self._programs: dict[Hashable, _Program] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # Inside another trace (a uk.function that calls this one, Keras' own jitted fit) the outer
        # program carries the state; a program of its own would bake it in.
        if in_stateless_scope():
            return self._f(*args, **kwargs)
        structure, static, arrays = _split((args, kwargs))
        key = (structure, static, tuple((array.shape, array.dtype) for array in arrays))
        try:
            program = self._programs.get(key)
        except TypeError as error:
            raise ArgumentError(
                f"an argument of {self._f.__qualname__} is neither a tensor nor hashable ({error}); "
                "pass tensors, numpy arrays, or Python values that can be the key of a dictionary"
            ) from None
        if program is None:
            program = _discover(functools.partial(self._call, structure, static), arrays)
        results = program(arrays)
        self._programs[key] = program
        return results

    def _call(self, structure: Any, static: Sequence[Any], arrays: Sequence[Any]) -> Any:
        args, kwargs = _merge(structure, static, arrays)
        return self._f(*args, **kwargs)


class _Program:
    """One traced version of a function: the variables that are its state, and the pure function of them."""

    def __init__(
        self, call: Callable[..., Any], written: list[keras.Variable], read: list[keras.Variable]
    ) -> None:
        self._call = call
        self._written = written
        self._read = read
        self._output: tuple[Any, Sequence[Any]]  # structure and Python values of the result, set by tracing
        self._run = jax.jit(self._pure)
        self._run_in_place = jax.jit(self._pure, donate_argnums=0)

    def __call__(self, arrays: Sequence[Any]) -> Any:
        written, read = _values(self._written), _values(self._read)
        if _trace.is_recording():
            # A tape keeps the values that it saw, so none may be given away.
            results, new = self._run(written, read, arrays)
        else:
            results, new = self._run_in_place(_unshared(written, [*read, *arrays]), read, arrays)
        for variable, value in zip(self._written, new, strict=True):
            variable.assign(value)
        return _merge(*self._output, results)

    def _pure(self, written: Sequence[Any], read: Sequence[Any], arrays: Sequence[Any]) -> Any:
        known = dict(zip(map(id, [*self._written, *self._read]), [*written, *read], strict=True))
        with RecordingScope(known, initialize_variables=False) as scope:
            structure, static, results = _split(self._call(arrays))
        self._output = (structure, static)
        if late := [v.path for key, v in {**scope.read, **scope.written}.items() if key not in known]:
            raise StateError(
                f"{', '.join(late)} turned up only when the function ran a second time; "
                "create variables in the first call, or before it"
            )
        return results, [scope.state_mapping[id(variable)] for variable in self._written]


def _discover(call: Callable[..., Any], arrays: Sequence[Any]) -> _Program:
    """Run `call` once on abstract values to see which variables are its state."""
    with RecordingScope() as scope:
        jax.eval_shape(lambda arrays: _split(call(arrays))[2], arrays)
    read = [variable for key, variable in scope.read.items() if key not in scope.written]
    return _Program(call, list(scope.written.values()), read)


def _values(variables: Sequence[keras.Variable]) -> list[Any]:
    with AutocastScope(None):
        return [variable.value for variable in variables]


def _unshared(donated: Sequence[Any], others: Sequence[Any]) -> list[Any]:
    """Copy values that are about to be donated and are held twice: an array can be given away once."""
    taken = {id(value) for value in others}
    given = []
    for value in donated:
        given.append(jnp.array(value, copy=True) if id(value) in taken else value)
        taken.add(id(value))
    return given


def _split(tree: Any) -> tuple[Any, tuple[Any, ...], list[Any]]:
    """Take a structure apart into its shape, its Python values and its arrays."""
    leaves, structure = jax.tree.flatten(tree)
    leaves = [leaf.value if isinstance(leaf, keras.Variable) else leaf for leaf in leaves]
    arrays = [leaf for leaf in leaves if _is_array(leaf)]
    return structure, tuple(_ARRAY if _is_array(leaf) else leaf for leaf in leaves), arrays


def _merge(structure: Any, static: Sequence[Any], arrays: Sequence[Any]) -> Any:
    remaining = iter(arrays)
    return jax.tree.unflatten(structure, [next(remaining) if leaf is _ARRAY else leaf for leaf in static])


def _is_array(value: Any) -> bool:
    return isinstance(value, jax.Array | np.ndarray | np.generic)
