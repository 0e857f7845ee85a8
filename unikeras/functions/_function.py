"""uk.function: a Python function of tensors, compiled together with the Keras variables that it uses."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, overload

from unikeras import backends
from unikeras._base.notebook_html import preformatted
from unikeras.errors import ArgumentError, ArgumentValueError
from unikeras.functions import _debug, _source
from unikeras.random import continued, is_portable

if TYPE_CHECKING:
    from unikeras.functions._explanation import Explanation, FunctionProgram


class Function:
    """A function that is compiled by the backend at its first call; made by `uk.function`.

    Args:
        f: the function.
        jit_compile: as for `uk.function`.
        static_argnames: as for `uk.function`.
        warns: whether to warn of many programs; False for callers that keep their number small by themselves.
        records: whether the framework's own gradients go through it where no tape asks for any.
        donate: as for `uk.function`.

    Example:
        >>> import keras, unikeras as uk
        >>> double = uk.function(lambda x: 2 * x)
        >>> float(double(keras.ops.ones(()))), double.trace_count
        (2.0, 1)
    """

    def __init__(
        self,
        f: Callable[..., Any],
        jit_compile: bool | str = "auto",
        static_argnames: Sequence[str] = (),
        warns: bool = True,
        records: bool = False,
        donate: bool = True,
    ) -> None:
        # What a layer or another object holds in its attributes is its own.
        functools.update_wrapper(self, f, updated=("__dict__",) if inspect.isroutine(f) else ())
        self._f = f
        self._jit_compile = jit_compile
        self._static_argnames = tuple(static_argnames)
        self._warns = warns
        self._records = records
        self._donate = donate
        self._runner: Any = None
        self._python: Any = None
        self._portable: bool | None = None  # whether the first call was one with portable draws
        self._of: Function | None = (
            None  # the function of the class, where this one is a method of an instance
        )
        self._methods: dict[int, Function] = {}  # of instances that have no place for them, by id

    @property
    def trace_count(self) -> int:
        """How many programs the backend has made of it; 0 where it runs as Python."""
        return self._runner.trace_count if self._runner else 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._portable is None:
            self._portable = is_portable()
        if self._portable and not is_portable():
            with continued():  # what began with portable draws keeps them
                return self._call(args, kwargs)
        return self._call(args, kwargs)

    def _call(self, args: Any, kwargs: Any) -> Any:
        if _debug.is_debugging():
            return _debug.run(_source.name(self._f), self._as_python(), args, kwargs)
        backend = backends.current()
        if backend.is_tracing():
            # The program around this one (another uk.function, Keras' own fit) carries the state of both.
            return self._f(*args, **kwargs)
        if self._runner is None:
            self._runner = self._make_runner(backend)
        if self._static_argnames:
            args, kwargs = self._mark_static(args, kwargs)
        return self._runner(args, kwargs)

    def explain(self, *args: Any, **kwargs: Any) -> Explanation:
        """Say how a call with these arguments runs, on the backend that runs here.

        Whether it is traced or not and why, the variables it reads and writes, the operators of its graph, the programs
        that exist and what made each. Where the call would make a program, it is traced for that and dropped: nothing
        changes, also where the model or the optimizer is not built. What another thread stores meanwhile in the objects
        that the function uses, Keras variables aside, may be lost.

        Args:
            args: as for a call.
            kwargs: as for a call.

        Returns:
            Plain data, with `to_dict()` and `to_json()`; `str()` of it is a text for a terminal.

        Raises:
            StateError: it is called while a function is traced.
            Exception: what the function itself raises for these arguments.

        Example:
            >>> import keras, numpy as np, unikeras as uk
            >>> total = keras.Variable(0.0, trainable=False, name="total")
            >>> @uk.function
            ... def add(x):
            ...     total.assign_add(keras.ops.sum(x))
            >>> explanation = add.explain(np.ones(3, "float32"))
            >>> explanation.call, explanation.traced, explanation.program.writes
            ('x: float32 (3,)', True, ('total',))
            >>> float(total), add.trace_count
            (0.0, 0)
        """
        from unikeras.functions._explain import explain

        args, kwargs, runner = self._prepared(args, kwargs)
        with continued() if self._portable else contextlib.nullcontext():
            return explain(runner, args, kwargs, Function)

    @property
    def programs(self) -> tuple[FunctionProgram, ...]:
        """The programs that exist, in the order in which they were made; `text()` of one is its graph."""
        from unikeras.functions._explain import programs

        return tuple(programs(self._runner))

    def _prepared(self, args: Any, kwargs: Any) -> tuple[Any, Any, Any]:
        """Return a call's arguments as its runner takes them, and the runner; a new one where it has not run."""
        runner = self._runner or self._make_runner(backends.current())
        if self._static_argnames:
            args, kwargs = self._mark_static(args, kwargs)
        return args, kwargs, runner

    def _make_runner(self, backend: backends.Backend) -> Any:
        from unikeras.functions._runners import Options, TracedRunner

        _prepare_keras()
        options = Options(self._jit_compile, self._donate, self._warns, self._records)
        return TracedRunner(self._f, backend, options)

    def _as_python(self) -> Any:
        from unikeras.functions._runners import EagerRunner

        _prepare_keras()
        self._python = self._python or EagerRunner(self._f, records=self._records)
        return self._python

    def _mark_static(self, args: Any, kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        from unikeras.functions._call_arguments import Static

        bound = inspect.signature(self._f).bind(*args, **kwargs)
        for name in self._static_argnames:
            if name in bound.arguments:
                bound.arguments[name] = Static(bound.arguments[name])
        return bound.args, bound.kwargs

    def __get__(self, instance: Any, owner: type | None = None) -> Function:
        """Return the method of one instance, compiled once for it."""
        if instance is None or not hasattr(self._f, "__get__"):
            return self
        # Not through setattr: Keras objects track what is set on them.
        methods, key = self._place(instance)
        method = methods.get(key)
        # A copied instance brings the method of the one that it was copied from.
        if method is None or method._of is not self or method._self is not instance:
            method = methods[key] = Function(self._f.__get__(instance, owner), *self._settings)
            method._of = self
        return method

    @property
    def _self(self) -> Any:
        return getattr(self._f, "__self__", None)

    def _place(self, instance: Any) -> tuple[dict[Any, Function], Any]:
        """Return where an instance's method is kept, so that it lives as long as the instance, and its key."""
        if isinstance(instance, type) or not hasattr(instance, "__dict__"):
            return self._methods, id(
                instance
            )  # a class, or an object with __slots__: kept alive from here on
        # The qualified name, for a method and the one that it calls through super() have one name.
        return vars(instance), f"_compiled_{_source.name(self._f)}"

    def __reduce__(self) -> Any:
        # Programs belong to a process; a copy compiles its own.
        return type(self), (self._f, *self._settings)

    @property
    def _settings(self) -> tuple[Any, ...]:
        return self._jit_compile, self._static_argnames, self._warns, self._records, self._donate

    def __repr__(self) -> str:
        return f"<uk.function {_source.name(self._f)}>"

    def _repr_html_(self) -> str:
        title = f"{self!r}: {len(self.programs) or 'no'} program{'s' * (len(self.programs) != 1)}"
        return preformatted("\n\n".join([title, *map(str, self.programs)]))


def _prepare_keras() -> None:
    from unikeras.functions import _variable_values
    from unikeras.functions._optimizer_rollback import keep_what_optimizers_change

    keep_what_optimizers_change()
    _variable_values.install()
    backends.current().prepare()


@overload
def function(
    f: Callable[..., Any],
    *,
    jit_compile: bool | str = "auto",
    static_argnames: str | Sequence[str] = (),
    donate: bool = True,
) -> Function: ...
@overload
def function(
    f: None = None,
    *,
    jit_compile: bool | str = "auto",
    static_argnames: str | Sequence[str] = (),
    donate: bool = True,
) -> Callable[[Callable[..., Any]], Function]: ...
def function(
    f: Callable[..., Any] | None = None,
    *,
    jit_compile: bool | str = "auto",
    static_argnames: str | Sequence[str] = (),
    donate: bool = True,
    **unknown: Any,
) -> Any:
    """Compile a function that reads and writes Keras variables; also as a decorator, also of methods.

    The variables (weights, optimizer slots, metrics, seeds, BatchNorm statistics) are found by tracing, not
    declared; they are read before and written after each call. It becomes a tf.function on TensorFlow, jax.jit of
    the pure function on JAX with the written state donated, and one graph of ATen operators on PyTorch.

    Variables may be created in the first call. Calls that differ in structure, shapes, dtypes or Python values
    are traced anew (`trace_count` says how often; on TensorFlow and PyTorch an axis whose size varies
    becomes dynamic); one warning names the argument that varies after eight. What cannot be traced (`float(loss)`, `if`
    on a tensor) is a TraceError; on PyTorch it runs as Python after one warning, unless jit_compile is True.

    A call that raises while it is traced, or in Python, leaves all variables as they were. What a running program
    raises is another matter: on TensorFlow the assignments before the error stand; on PyTorch what an optimizer had
    changed by then stands, and no other assignment; on JAX a program that may fail while it runs changes nothing.

    What it computes is recorded for a `uk.GradientTape` or a transform inside or around it, and for nothing else:
    PyTorch's own `.backward()` goes through it only where an argument requires a gradient.

    Args:
        f: takes and returns nested structures of tensors, numpy arrays (they arrive as tensors) and Python
            values.
        jit_compile: `"auto"` for what is fastest where it is supported; True asks for XLA on TensorFlow and
            for Inductor on PyTorch (one graph; it needs a C++ compiler on the CPU); False runs the traced operators
            one by one, on PyTorch without simplifying them.
        static_argnames: arguments that reach `f` as they are, arrays among them not as tensors; a value
            that is not equal to an earlier one is a new trace. They must be hashable.
        donate: on JAX, whether the memory of the variables that `f` writes is reused for what it writes. False
            keeps arrays that were read from `variable.value` before the call valid, and takes more memory. Variables
            that another thread reads are not donated in any case. Other backends need nothing of the kind.
        unknown: nothing else is taken; what other frameworks take is refused, with what there is in its place.

    Returns:
        A callable with `f`'s signature.

    Raises:
        ArgumentError: f is not callable, or an argument is not known.
        ArgumentValueError: an argument has a value that means nothing.
        StateError: in a call, a variable would be created by a later run of `f`.
        TraceError: in a call, `f` asks for the value of a tensor (`if`, `float`, numpy) while it is traced.

    Example:
        >>> import keras, unikeras as uk
        >>> total = keras.Variable(0.0, trainable=False)
        >>> @uk.function
        ... def add(x):
        ...     total.assign_add(x)
        ...     return total * 2
        >>> float(add(keras.ops.ones(()))), float(add(keras.ops.ones(())))
        (2.0, 4.0)
    """
    if unknown:
        raise ArgumentError(_about(unknown))
    if jit_compile not in (True, False, "auto"):
        raise ArgumentValueError(f"jit_compile must be True, False or 'auto', not {jit_compile!r}")
    if not isinstance(donate, bool):
        raise ArgumentValueError(f"donate must be True or False, not {donate!r}")
    static = (static_argnames,) if isinstance(static_argnames, str) else tuple(static_argnames)
    if f is None:
        return functools.partial(function, jit_compile=jit_compile, static_argnames=static, donate=donate)
    if not callable(f):
        raise ArgumentError(f"uk.function compiles a callable, not a {type(f).__name__}")
    if inspect.isgeneratorfunction(f) or inspect.iscoroutinefunction(f):
        raise ArgumentError(
            f"{_source.name(f)} is a generator or a coroutine: its code runs after the call, where nothing is "
            "compiled. Return a list"
        )
    _check_names(f, static)
    return Function(f, jit_compile, static, donate=donate)


def _about(unknown: Iterable[str]) -> str:
    """Say what replaces arguments that do not exist."""
    known = [f"{name}: {_ELSEWHERE[name]}" for name in unknown if name in _ELSEWHERE]
    return f"uk.function takes jit_compile, static_argnames and donate, not {', '.join(unknown)}" + "".join(
        f". For {text}" for text in known
    )


_ELSEWHERE = {
    "input_signature": "nothing is to be declared; calls of other shapes and dtypes are traced by themselves, and on "
    "TensorFlow and PyTorch an axis becomes dynamic when its size varies",
    "reduce_retracing": "an axis becomes dynamic when its size varies, on TensorFlow and PyTorch",
    "static_argnums": "name the parameters instead: static_argnames=('n',)",
    "donate_argnums": "the state that a function writes is donated unless donate=False",
    "donate_argnames": "the state that a function writes is donated unless donate=False",
    "autograph": "choose with keras.ops.cond and keras.ops.while_loop",
    "fullgraph": "jit_compile=True asks for Inductor on PyTorch, on one graph",
    "mode": "jit_compile=True asks for Inductor on PyTorch",
    "dynamic": "an axis becomes dynamic by itself when its size varies",
    "backend": "Keras' backend is chosen by KERAS_BACKEND",
}


def _check_names(f: Callable[..., Any], static: Sequence[str]) -> None:
    if not static:
        return
    parameters = inspect.signature(f).parameters
    if unknown := [name for name in static if name not in parameters]:
        raise ArgumentValueError(
            f"static_argnames names {', '.join(map(repr, unknown))}; {_source.name(f)} has the parameters "
            f"{', '.join(parameters) or 'none'}"
        )
