"""The two ways a function runs: through traced programs, or as the Python that it is."""

from __future__ import annotations

import contextlib
import functools
import threading
import warnings
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from unikeras import backends
from unikeras.autodiff import is_differentiated
from unikeras.backends import Backend, Program
from unikeras.errors import ArgumentError, StateError
from unikeras.functions import _retracing, _source
from unikeras.functions._call_arguments import (
    CallSignature,
    Node,
    Parameters,
    Static,
    leaves,
    merge,
    names,
    objects,
    split,
    with_tensors,
)
from unikeras.functions._captured import Captured
from unikeras.functions._created_variables import created_variables
from unikeras.functions._leaks import Watch
from unikeras.functions._refusals import Refusal, explain_faults, find_refusal
from unikeras.functions._rollback import all_or_nothing

# Calls that write take turns, those of different functions too: these may share variables.
writing = threading.RLock()


@dataclass(frozen=True)
class Options:
    """How a function is compiled.

    Attributes:
        jit_compile: as `uk.function` takes it.
        donate: as `uk.function` takes it.
        warns: whether many programs, and what runs as Python, are worth a warning.
        records: whether the framework's own gradients go through it, where no tape asks for any.
    """

    jit_compile: bool | str = "auto"
    donate: bool = True
    warns: bool = True
    records: bool = False


class UserFunction:
    """A function that may create variables in its first run, and not in a later one.

    Attributes:
        f: the function.
        runs: how often it finished.
        created: whether the last run created variables.
    """

    def __init__(self, f: Callable[..., Any]) -> None:
        self.f = f
        self.runs = 0
        self.created = False

    def __call__(self, args: Any, kwargs: Any) -> Any:
        with created_variables() as created:
            result = self.f(*args, **kwargs)
        if created and self.runs:
            raise StateError(
                f"a later run of {_source.name(self.f)} creates {', '.join(v.path for v in created)}; a compiled "
                "function may create variables in its first run only. Create them once (in `build`, or before "
                "the first call) and let every run find them"
            )
        self.runs += 1
        self.created = bool(created)
        return result


class EagerRunner:
    """Runs a function eagerly, on tensors; a call that raises leaves all variables as they were.

    Attributes:
        trace_count: 0, for nothing is traced.

    Args:
        f: the function.
        records: whether the framework's own gradients go through it, where no tape asks for any.
    """

    trace_count = 0

    def __init__(self, f: Callable[..., Any], records: bool = False) -> None:
        self._function = UserFunction(f)
        self._records = records

    def __call__(self, args: Any, kwargs: Any) -> Any:
        backend = backends.current()
        arguments = with_tensors((args, kwargs), backend)
        with writing, all_or_nothing(), explain_faults(self._function.f, backend):
            if self._records or is_differentiated():
                return self._function(*arguments)
            return backend.run_detached(lambda: self._function(*arguments), leaves(arguments))


class TracedRunner:
    """Runs a function through the programs that the backend made of it, one per kind of call.

    Args:
        f: the function.
        backend: the one that compiles it.
        options: how.
    """

    def __init__(self, f: Callable[..., Any], backend: Backend, options: Options) -> None:
        self._function = UserFunction(f)
        self._python = EagerRunner(f, options.records)
        self._falls_back = backend.falls_back and options.jit_compile is not True
        self._untraceable: dict[Hashable, Refusal] = {}
        self._fixed: set[Hashable] = set()  # kinds of calls that are traced for each size
        self._parameters = Parameters(f)
        self._backend = backend
        self._compile = functools.partial(
            backend.compile, jit_compile=options.jit_compile, donate=options.donate
        )
        self._by_signature: dict[CallSignature, CompiledCall] = {}
        self._compiled_calls: list[CompiledCall] = []
        self._warns = options.warns
        self._traced_signatures: list[CallSignature] = []

    @functools.cached_property
    def _captured(self) -> Captured:
        return Captured(self._function.f)  # at the first call, when what the function names is there

    @property
    def trace_count(self) -> int:
        """How many programs were made."""
        return len(self._traced_signatures)

    def __call__(self, args: Any, kwargs: Any) -> Any:
        signature, tensors = split(
            self._parameters.order(args, kwargs), self._backend, captured=self._captured.now()
        )
        if self._backend.is_recorded(tensors):
            return self._python(args, kwargs)
        try:
            compiled = self._by_signature.get(signature)
        except TypeError as error:
            raise ArgumentError(unhashable(self._function.f, signature, error)) from None
        if compiled is None and self._untraceable and signature.ignoring_values in self._untraceable:
            return self._python(args, kwargs)
        with writing if compiled is None or compiled.writes else contextlib.nullcontext():
            try:
                compiled = compiled or self._find_or_trace(signature)
            except Exception as error:
                failed = error
            else:
                return compiled(tensors)
            # Not while the error is handled: what the Python run raises stands for itself.
            return self._run_as_python(signature, args, kwargs, failed)

    def _run_as_python(self, signature: CallSignature, args: Any, kwargs: Any, error: Exception) -> Any:
        """Run what could not be traced; if that works, say so once, and do not try again."""
        refusal = find_refusal(self._function.f, self._backend, error)
        if refusal is None:
            raise error
        if not self._falls_back:
            raise refusal.error() from refusal.cause
        self._captured.before_run(keeps=self._function.created)
        result = self._python(args, kwargs)
        self._untraceable[signature.ignoring_values] = refusal
        if self._warns:
            warnings.warn(
                f"{refusal.what}. It runs as Python on {self._backend.name}, which is slower. {refusal.instead}",
                UserWarning,
                stacklevel=4,
            )
        return result

    def _find_or_trace(self, signature: CallSignature) -> CompiledCall:
        # Another thread may have made it while this one waited, and its trace may have changed what is captured.
        signature = replace(signature, captured=self._captured.now())
        if signature in self._by_signature:
            return self._by_signature[signature]
        similar = self.similar_to(signature)
        compiled = next((compiled for compiled in similar if compiled.serves(signature)), None)
        if compiled is None:
            compiled = self._trace_like(similar, signature)
            self._compiled_calls.append(compiled)
        # What the trace changed is part of this kind of call as it is now.
        self._by_signature[replace(signature, captured=self._captured.now())] = compiled
        return compiled

    def similar_to(self, signature: CallSignature) -> list[CompiledCall]:
        """Return what was compiled for calls that differ from this one in the sizes of axes at most."""
        kind = signature.ignoring_sizes
        return [compiled for compiled in self._compiled_calls if compiled.signature.ignoring_sizes == kind]

    def _trace_like(self, similar: Sequence[CompiledCall], signature: CallSignature) -> CompiledCall:
        """Trace with the axes dynamic whose sizes vary, or for these sizes where the function needs to know them."""
        kind = signature.ignoring_sizes
        if similar and self._backend.dynamic_axes and kind not in self._fixed:
            free = free_axes(similar[-1].signature, signature)
            try:
                return self._trace(free, signature.shapes)
            except Exception:
                if _smallest_free(free, signature) > 1:  # an axis of one element may be a case of its own
                    self._fixed.add(kind)
        return self._trace(signature)

    def _trace(self, signature: CallSignature, sizes: Sequence[Any] | None = None) -> CompiledCall:
        captured = self._captured
        watch = Watch(self._function.f)
        if captured.begin(objects(self._function.f, signature)):
            self._convert(captured)
            signature = replace(signature, captured=captured.now())
        compile_ = functools.partial(self._compile, sizes=sizes)
        try:
            compiled = CompiledCall(self._function, signature, self._backend, compile_, captured)
        except BaseException:
            watch.undo(self._backend.is_symbolic)
            raise
        if not self._traced_signatures:
            watch.report(self._backend.is_symbolic)
        self._traced_signatures.append(signature)
        if captured.finish(self._warns):
            self._convert(captured)
        compiled.signature = replace(signature, captured=captured.now())
        if self._warns and len(self._traced_signatures) == _retracing.RETRACES + 1:
            _retracing.warn(self._function.f, self._traced_signatures)
        return compiled

    def _convert(self, captured: Captured) -> None:
        """Let the kinds of earlier calls be told apart by what is known to be captured now."""

        def convert(signature: CallSignature) -> CallSignature:
            return replace(signature, captured=captured.convert(signature.captured))

        self._by_signature = {
            convert(signature): compiled for signature, compiled in self._by_signature.items()
        }
        self._traced_signatures = [convert(signature) for signature in self._traced_signatures]
        for compiled in self._compiled_calls:
            compiled.signature = convert(compiled.signature)


class CompiledCall:
    """A function for one kind of call, as a program of flat tensors.

    Attributes:
        signature: of the calls that it serves; an axis of None stands for any size.
        program: what the backend made of it.
        writes: whether it changes variables.
    """

    def __init__(
        self,
        function: UserFunction,
        signature: CallSignature,
        backend: Backend,
        compile_: Callable[..., Program],
        captured: Captured,
    ) -> None:
        self.signature = signature
        self._output: CallSignature

        def flat(tensors: Sequence[Any]) -> list[Any]:
            captured.before_run(keeps=function.created)
            self._output, outputs = split(function(*merge(signature, tensors)), backend)
            _refuse_holders(self._output, backend, function.f)
            return outputs

        self.program = compile_(flat, signature.shapes, signature.dtypes)
        if function.created and function.runs == 1:
            # As tf.function does: a second run shows that variables are created once.
            self.program = compile_(flat, signature.shapes, signature.dtypes)
        self.writes = self.program.writes

    def __call__(self, tensors: Sequence[Any]) -> Any:
        return merge(self._output, self.program.run(tensors))

    def serves(self, signature: CallSignature) -> bool:
        """Say whether calls of a signature that differs at most in sizes run through it."""
        shapes: Any = signature.shapes
        return fits(self.signature, signature) and self.program.accepts(shapes)


def _refuse_holders(output: CallSignature, backend: Backend, f: Callable[..., Any]) -> None:
    """Raise if tensors of a trace leave it inside of an object, where nothing gives them values."""
    for entry in output.static:
        value = entry[1] if isinstance(entry, tuple) else None
        attributes = getattr(value, "__dict__", None)
        if isinstance(attributes, dict) and any(map(backend.is_symbolic, attributes.values())):
            raise ArgumentError(
                f"{_source.name(f)} returns a {type(value).__qualname__} that holds tensors; return them in lists, "
                "(named) tuples or dictionaries, and make the object of them outside"
            )


def unhashable(f: Callable[..., Any], signature: CallSignature, error: TypeError) -> str:
    """Say which argument cannot choose a program, and why."""
    for name, entry in zip(names(f, signature.structure), signature.static, strict=True):
        try:
            hash(entry)
        except TypeError:
            if isinstance(entry, Node):
                kind = "tree that holds a value"
            else:
                kind = type(entry.value if isinstance(entry, Static) else entry[1]).__qualname__
            return (
                f"argument {name!r} of {_source.name(f)} is a {kind}, neither a tensor nor hashable ({error}); "
                "pass tensors, numpy arrays, objects of a class that is registered as a tree (with optree, in the "
                "namespace 'keras'), or Python values that can be the key of a dictionary"
            )
    return f"an argument of {_source.name(f)} cannot be told from others: {error}"


def fits(free: CallSignature, signature: CallSignature) -> bool:
    """Say whether calls of a signature are served by a program whose dynamic axes are None in another one."""
    return all(
        size is None or size == other
        for shape, others in zip(free.shapes, signature.shapes, strict=True)
        for size, other in zip(shape, others, strict=True)
    )


def free_axes(seen: CallSignature, signature: CallSignature) -> CallSignature:
    """Return a signature with the axes dynamic in which two calls differ: batches of any size share a trace."""
    shapes = [
        tuple(size if size == other else None for size, other in zip(shape, others, strict=True))
        for shape, others in zip(seen.shapes, signature.shapes, strict=True)
    ]
    return replace(signature, shapes=tuple(shapes))


def _smallest_free(free: CallSignature, signature: CallSignature) -> int:
    """Return the smallest size that a dynamic axis has in a call."""
    pairs = zip(free.shapes, signature.shapes, strict=True)
    sizes = [size for axes, shape in pairs for axis, size in zip(axes, shape, strict=True) if axis is None]
    return min(size or 0 for size in sizes)
