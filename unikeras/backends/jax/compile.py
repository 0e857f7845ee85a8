"""Programs on JAX: find the Keras variables by tracing, then jit the pure function of them."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from unikeras._base.signals import interrupts_wait
from unikeras.backends._contract import Compiler, Program, ProgramContent, TensorFunction, TraceFault
from unikeras.backends.jax import _content, _faults, _readers, _trace
from unikeras.backends.jax._neutral_graph import neutral_graph
from unikeras.backends.jax._readers import Owner
from unikeras.backends.jax._risks import may_fail
from unikeras.errors import StateError

if TYPE_CHECKING:
    import keras

# One at a time: between the reading of a variable and the writing of its new value its array may be given away.
_lock = _readers.lock


class JaxCompiler(Compiler):
    """`jax.jit` of the pure function of arguments and state."""

    dynamic_axes = False

    def saved_model_options(self) -> dict[str, Any]:
        # A SavedModel would hold the gradients too, and where tracing them fails there would be none at all.
        return {"jax2tf_kwargs": {"with_gradient": False}}

    def compile(
        self,
        f: TensorFunction,
        shapes: Sequence[tuple[int | None, ...]],
        dtypes: Sequence[Any],
        jit_compile: bool | str,
        donate: bool = True,
        sizes: Sequence[tuple[int, ...]] | None = None,
    ) -> Program:
        from unikeras._keras.scopes import take_created_variables

        take_created_variables()
        return compile_program(f, shapes, dtypes, donate, compiles=jit_compile is not False)

    def prepare(self) -> None:
        from unikeras.backends.jax import _control_flow

        _control_flow.install()

    def disable_compile(self) -> AbstractContextManager[None]:
        return jax.disable_jit()

    def is_tracing(self) -> bool:
        from keras.src.backend import in_stateless_scope

        return bool(in_stateless_scope())

    def trace_fault(self, error: BaseException) -> TraceFault | None:
        return _faults.fault(error)


def compile_program(
    f: TensorFunction,
    shapes: Sequence[tuple[Any, ...]],
    dtypes: Sequence[Any],
    donate: bool = True,
    compiles: bool = True,
) -> Program:
    """Trace `f` twice: once on abstract values to see which variables are its state, then as a function of them.

    Where it is not to be compiled, the traced operators run one by one.
    """
    from unikeras.backends.jax._scope import RecordingScope

    # numpy's int64 and float64 arrive as 32 bits unless jax_enable_x64 is set; jax 0.12 warns where they are described.
    canonical = map(jax.dtypes.canonicalize_dtype, dtypes)
    arguments = [jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in zip(shapes, canonical, strict=True)]
    with RecordingScope() as scope:
        jax.eval_shape(f, arguments)
    read = [variable for key, variable in scope.read.items() if key not in scope.written]
    program = _Program(f, list(scope.written.values()), read, donate, compiles)
    program.trace(arguments)
    return Program(program, bool(scope.written), lambda: program.content(list(scope.read.values())))


class _Program:
    """A function, and the variables that it reads and writes."""

    def __init__(
        self,
        f: TensorFunction,
        written: list[keras.Variable],
        read: list[keras.Variable],
        donate: bool,
        compiles: bool,
    ) -> None:
        self._f = f
        self._donate = donate and compiles
        self._compiles = compiles
        self._owner = Owner(written)
        self._written = written
        self._read = read
        self._scalars: list[int] = []
        self._in_place = jax.jit(self._pure, donate_argnums=0)
        self._has_run = False  # the first call runs in Python, later ones in one piece

    def trace(self, arguments: Sequence[Any]) -> None:
        """Run the function's body, for the last time."""
        self._scalars = [place for place, argument in enumerate(arguments) if not argument.shape]
        with jax.ensure_compile_time_eval():  # the call may be inside of another trace
            for variable in (*self._written, *self._read):
                value = variable._value
                if getattr(value, "weak_type", False) and not isinstance(value, jax.core.Tracer):
                    variable._direct_assign(_strong(value))  # it was made of a Python number
        written, read = [v.value for v in self._written], [v.value for v in self._read]
        traced = self._in_place.trace(written, read, arguments)
        self._careful = may_fail(traced.jaxpr)
        self._jaxpr = traced.jaxpr
        one_by_one = _flat_function(traced)
        self._copying = jax.jit(one_by_one) if self._compiles else one_by_one

    def content(self, read: Sequence[keras.Variable]) -> ProgramContent:
        """Look into the program; `read` are the variables that its function reads, written ones too."""
        donated = self._written if self._donate and not self._careful else []
        return ProgramContent(
            read,
            self._written,
            donated,
            _content.count_operators(self._jaxpr),
            lambda: str(self._jaxpr),
            lambda: neutral_graph(self._jaxpr, self._written, self._read),
        )

    def __call__(self, arrays: Sequence[Any]) -> list[Any]:
        results: list[Any] = []
        if self._scalars:
            arrays = self._as_traced(arrays)
        with _lock, contextlib.nullcontext() if self._has_run else interrupts_wait():
            run, arguments = self._choose(arrays)
            try:
                # The call and the keeping of what it gives are one step of the interpreter: Ctrl-C comes before
                # or after, when `results` has what the donated arrays have become.
                results.extend(itertools.starmap(run, [arguments]))
            finally:
                if results:
                    self._write_back(results[0][1])
            self._has_run = True
        return results[0][0]

    def _as_traced(self, arrays: Sequence[Any]) -> Sequence[Any]:
        """Give arrays made of Python numbers the type of the trace: a weak one would have the body run once more."""
        arrays = list(arrays)
        for place in self._scalars:
            arrays[place] = _strong(arrays[place])
        return arrays

    def _choose(self, arrays: Sequence[Any]) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        if _trace.is_recording():
            # A tape is told what is read by the variables themselves, and keeps it, so none may be given away.
            written, read = [v.value for v in self._written], [v.value for v in self._read]
            return self._copying, (written, read, arrays)
        written, read = [v._value for v in self._written], [v._value for v in self._read]
        if self._careful or jax.config.jax_debug_nans or jax.config.jax_debug_infs:
            # Should it fail, the variables still have what they had.
            return self._awaited, (written, read, arrays)
        if not self._donate or self._owner.is_watched():
            return self._copying, (written, read, arrays)
        return self._in_place, (_unshared(written, read, arrays), read, arrays)

    def _awaited(self, *arguments: Any) -> Any:
        return jax.block_until_ready(self._copying(*arguments))

    def _write_back(self, values: Sequence[Any]) -> None:
        if values and isinstance(values[0], jax.core.Tracer):
            raise StateError(
                f"a uk.function that writes {self._written[0].path} is called inside jax.jit or another of JAX's "
                "own transforms, which would lose what it writes; use uk.function and uk.grad around it"
            )
        try:
            self._assign(values)
        except KeyboardInterrupt:
            self._assign(values)
            raise

    def _assign(self, values: Sequence[Any]) -> None:
        for variable, value in zip(self._written, values, strict=True):
            variable._direct_assign(value)

    def _pure(self, written: Sequence[Any], read: Sequence[Any], arrays: Sequence[Any]) -> Any:
        from unikeras.backends.jax._scope import RecordingScope

        known = dict(zip(map(id, [*self._written, *self._read]), [*written, *read], strict=True))
        with RecordingScope(known, initialize_variables=False) as scope:
            results = self._f(arrays)
        if late := [v.path for key, v in {**scope.read, **scope.written}.items() if key not in known]:
            raise StateError(
                f"a function is traced by running it twice, and only the second run uses {', '.join(late)}: its Python "
                "did something else. Keep a counter or a flag in a keras.Variable and choose with keras.ops.cond, draw "
                "random choices with keras.random, and create variables in the first call, or before it"
            )
        return results, [_strong(scope.state_mapping[id(variable)]) for variable in self._written]


def _flat_function(traced: Any) -> Callable[..., Any]:
    """Return what was traced as a function that does not run the Python again."""
    run, structure = jax.extend.core.jaxpr_as_fun(traced.jaxpr), traced.out_tree

    def call(*args: Any) -> Any:
        return jax.tree.unflatten(structure, run(*jax.tree.leaves(args)))

    return call


def _strong(value: Any) -> Any:
    # A weakly typed value would look new to the next call, and be traced again.
    return jax.lax.convert_element_type(value, value.dtype) if getattr(value, "weak_type", False) else value


def _unshared(donated: list[Any], *others: Sequence[Any]) -> list[Any]:
    """Copy values that are about to be donated and are held twice: an array can be given away once."""
    every = set(map(id, itertools.chain(donated, *others)))
    if len(every) == len(donated) + sum(map(len, others)):
        return donated
    taken = {id(value) for value in itertools.chain(*others)}
    given = []
    for value in donated:
        given.append(jnp.array(value, copy=True) if id(value) in taken else value)
        taken.add(id(value))
    return given
