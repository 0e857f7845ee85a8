"""How `f.explain` finds out what a call would do: it traces the call apart, and puts back what changed."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras

from unikeras._keras.thread_state import thread_state
from unikeras._specs.graph_nodes import Graph
from unikeras.backends import Composite
from unikeras.errors import ArgumentError, StateError
from unikeras.functions import _debug, _source
from unikeras.functions._call_arguments import TENSOR, CallSignature, Node, names, objects, show, split
from unikeras.functions._captured import Captured
from unikeras.functions._created_variables import created_variables
from unikeras.functions._explanation import Explanation, FunctionProgram, ProgramDescription
from unikeras.functions._object_states import ObjectStates
from unikeras.functions._refusals import Refusal, find_refusal
from unikeras.functions._retracing import what_varies
from unikeras.functions._rollback import all_or_nothing
from unikeras.functions._runners import (
    CompiledCall,
    TracedRunner,
    UserFunction,
    fits,
    free_axes,
    unhashable,
    writing,
)
from unikeras.random import continued

_FIRST = "the first call"
_OTHER = "it uses other objects than the program before"


def explain(runner: TracedRunner, args: Any, kwargs: Any, holders: type) -> Explanation:
    """Say how a call of a function runs; nothing is changed.

    Args:
        runner: the function's, or a new one where it has not run.
        args: the call's positional arguments.
        kwargs: the call's keyword arguments.
        holders: the class of objects that hold programs, which are left as they are.
    """
    backend, f = runner._backend, runner._function.f
    if backend.is_tracing():
        raise StateError(f"{_source.name(f)}.explain is called while a function is traced; call it outside")
    with writing:
        signature, tensors = split(runner._parameters.order(args, kwargs), backend, runner._captured.now())
        outcome = _Outcome(f, backend.name, list(programs(runner)))
        try:
            hash(signature)
        except TypeError as error:
            raise ArgumentError(unhashable(f, signature, error)) from None
        if _debug.is_debugging():
            inspect.signature(f).bind(*args, **kwargs)
            return outcome.python(signature, "a uk.debug() block is open, and everything runs as Python")
        if refusal := runner._untraceable.get(signature.ignoring_values):
            return outcome.refused(signature, refusal, runner)
        similar = runner.similar_to(signature)
        found = next((compiled for compiled in similar if fits(compiled.signature, signature)), None)
        if backend.is_recorded(tensors):
            return outcome.python(signature, _RECORDED)
        if found is not None:
            return outcome.existing(signature, runner._compiled_calls.index(found))
        return _Trial(runner, signature, similar, (args, kwargs)).run(outcome, holders)


def program_graph(function: Any, args: Any, kwargs: Any) -> Graph:
    """Return the graph of the program that runs a call of a `uk.function`; nothing is changed.

    Where existing programs do not know layers, the call is traced once more.

    Args:
        function: the `uk.function`.
        args: the call's positional arguments.
        kwargs: the call's keyword arguments.

    Raises:
        TraceError: the call cannot be traced.
    """
    args, kwargs, runner = function._prepared(args, kwargs)
    backend, f = runner._backend, runner._function.f
    if backend.is_tracing():
        raise StateError(
            f"the graph of {_source.name(f)} is asked for while a function is traced; ask outside"
        )
    with writing, continued() if function._portable else contextlib.nullcontext():
        signature, _ = split(runner._parameters.order(args, kwargs), backend, runner._captured.now())
        similar, noting = runner.similar_to(signature), backend.noting_layers()
        for compiled in similar if noting is None else ():
            if fits(compiled.signature, signature):
                return compiled.program.content().graph()
        with noting or contextlib.nullcontext():
            return _GraphTrial(runner, signature, similar, (args, kwargs)).run(None, type(function))


_RECORDED = (
    "a gradient tape, a transform or PyTorch's own autograd records this call from outside, and would see nothing of "
    "what a program computes"
)


def programs(runner: TracedRunner | None) -> Iterator[FunctionProgram]:
    """Describe the programs of a runner, in the order in which they were made."""
    compiled_calls = list(runner._compiled_calls) if runner else []
    before: CallSignature | None = None
    for compiled in compiled_calls:
        f = runner._function.f  # type: ignore[union-attr]
        yield _describe(f, compiled, before)
        before = compiled.signature


@dataclasses.dataclass
class _Outcome:
    """Makes explanations of calls of one function.

    Attributes:
        f: the function.
        backend: the backend's name.
        programs: those that exist.
    """

    f: Callable[..., Any]
    backend: str
    programs: Sequence[FunctionProgram]

    def python(self, call: CallSignature, reason: str, advice: str = "") -> Explanation:
        """Explain a call that no program runs."""
        return self._explanation(call, traced=False, reason=reason, advice=advice)

    def refused(self, call: CallSignature, refusal: Refusal, runner: TracedRunner) -> Explanation:
        """Explain a call that cannot be traced."""
        then = "It runs as Python" if runner._falls_back else "The call is an error"
        return self.python(call, f"{refusal.what}. {then}", refusal.instead)

    def existing(self, call: CallSignature, index: int) -> Explanation:
        """Explain a call for which there is a program."""
        return self._explanation(call, program=self.programs[index].plain(), exists=True)

    def new(self, call: CallSignature, program: ProgramDescription, created: Sequence[Any]) -> Explanation:
        """Explain a call that makes a program."""
        return self._explanation(call, program=program, created=_paths(created))

    def _explanation(
        self,
        call: CallSignature,
        traced: bool = True,
        reason: str = "",
        advice: str = "",
        program: ProgramDescription | None = None,
        exists: bool = False,
        created: tuple[str, ...] = (),
    ) -> Explanation:
        every = tuple(program.plain() for program in self.programs)
        name, words = _source.name(self.f), _in_words(self.f, call)
        return Explanation(name, self.backend, words, traced, reason, advice, program, exists, created, every)


class _Trial:
    """A trace of a call that leaves nothing behind.

    Args:
        runner: the function's; it is not changed.
        signature: of the call.
        similar: what the runner compiled for such calls of other sizes.
        arguments: the call's, which the trace may change.
    """

    def __init__(
        self,
        runner: TracedRunner,
        signature: CallSignature,
        similar: Sequence[CompiledCall],
        arguments: Any,
    ) -> None:
        self._runner = runner
        self._f = runner._function.f
        self._signature = signature
        self._similar = similar
        self._arguments = arguments
        self._answer: Any

    def run(self, outcome: Any, holders: type) -> Any:
        """Trace, and explain what came of it."""
        states = ObjectStates([self._f, self._arguments, thread_state()], holders)
        try:
            with all_or_nothing():
                self._answer = self._explain(outcome)
                raise _PutBack
        except _PutBack:
            return self._answer
        finally:
            states.restore()

    def _explain(self, outcome: Any) -> Any:
        try:
            with created_variables() as created:
                compiled = self._trace()
        except Exception as error:
            refusal = find_refusal(self._f, self._runner._backend, error)
            if refusal is None:
                raise
            return outcome.refused(self._signature, refusal, self._runner)
        before = self._runner._compiled_calls[-1:]
        program = _describe(self._f, compiled, before[0].signature if before else None)
        return outcome.new(self._signature, program.plain(), created)

    def _trace(self) -> CompiledCall:
        if self._similar and self._runner._backend.dynamic_axes:
            # As in a call: where the function needs to know the sizes, they are fixed.
            with contextlib.suppress(Exception):
                free = free_axes(self._similar[-1].signature, self._signature)
                return self._compile(free, self._signature.shapes)
        return self._compile(self._signature)

    def _compile(self, signature: CallSignature, sizes: Sequence[Any] | None = None) -> CompiledCall:
        function = UserFunction(self._f)
        function.runs = self._runner._function.runs
        captured = Captured(self._f)
        captured.begin(objects(self._f, signature))
        compile_ = functools.partial(self._runner._compile, sizes=sizes)
        return CompiledCall(function, signature, self._runner._backend, compile_, captured)


class _GraphTrial(_Trial):
    """A trace whose graph is the answer."""

    def _explain(self, outcome: Any) -> Any:
        try:
            compiled = self._trace()
        except Exception as error:
            refusal = find_refusal(self._f, self._runner._backend, error)
            if refusal is None:
                raise
            raise refusal.error() from refusal.cause
        return compiled.program.content().graph()


class _PutBack(Exception):
    """Ends a block whose writes are undone."""


def _describe(f: Callable[..., Any], compiled: CompiledCall, before: CallSignature | None) -> FunctionProgram:
    content = compiled.program.content()
    cause = _FIRST if before is None else what_varies(f, [before, compiled.signature]) or _OTHER
    return FunctionProgram(
        _in_words(f, compiled.signature),
        cause,
        _paths(content.reads),
        _paths(content.writes),
        _paths(content.in_place),
        dict(content.operators),
        dict(content.removed),
        content.text,
        content.graph,
    )


def _paths(variables: Sequence[Any]) -> tuple[str, ...]:
    return tuple(str(getattr(variable, "path", None) or variable.name) for variable in variables)


def _in_words(f: Callable[..., Any], call: CallSignature) -> str:
    """Write the arguments of a call as a reader of `f` would: `x: float32 (8, 3), training=True`."""
    tensors = iter(zip(call.shapes, call.dtypes, strict=True))
    pairs = zip(_names(f, call), call.static, strict=True)
    return ", ".join(_argument(name, entry, tensors) for name, entry in pairs)


def _names(f: Callable[..., Any], call: CallSignature) -> list[str]:
    try:
        return names(f, call.structure)
    except (TypeError, ValueError, IndexError):  # code that is not Python does not tell its parameters
        return [f"argument {number}" for number in range(len(call.static))]


def _argument(name: str, entry: Any, tensors: Iterator[Any]) -> str:
    if entry is TENSOR:
        return f"{name}: {_tensor(next(tensors))}"
    if isinstance(entry, Composite | Node):
        return f"{name}: {', '.join(_tensor(next(tensors)) for _ in range(entry.count))}"
    text = show(entry)
    return f"{name}={text if len(text) <= _LONGEST else text[: _LONGEST - 3] + '...'}"


_LONGEST = 60


def _tensor(described: Any) -> str:
    shape, dtype = described
    return f"{keras.backend.standardize_dtype(dtype)} {tuple(shape)}"
