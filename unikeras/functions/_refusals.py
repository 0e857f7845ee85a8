"""What a function cannot do while it is traced, said where the user's line is known."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from unikeras.backends import Backend
from unikeras.errors import TraceError, UnikerasError
from unikeras.functions import _source
from unikeras.functions._inspection import is_library_name


def _without_values(instead: str) -> str:
    return (
        f"A compiled function is traced: its tensors have shapes then, and no values. {instead}. Under uk.debug() it "
        "runs as Python, with values"
    )


# What the line does, and what to do in its place.
_SENTENCES = {
    "choice": (
        "chooses by the value of a tensor (if, while, and, or, not, assert)",
        _without_values(
            "Choose with keras.ops.where, keras.ops.cond or keras.ops.while_loop, or by a Python value"
        ),
    ),
    "number": (
        "makes a Python number of a tensor (float, int, range, an index, a format)",
        _without_values(
            "Compute with the tensor itself, or return it and convert it outside; a number that is known before the "
            "call may be an argument"
        ),
    ),
    "numpy": (
        "makes a numpy array, or a number, of a tensor or a variable",
        _without_values(
            "Use keras.ops in the place of numpy, or return the tensor and convert it outside; the value of one "
            "variable comes to another by a.assign(b)"
        ),
    ),
    "iteration": (
        "iterates over a tensor",
        _without_values("Use keras.ops.unstack, keras.ops.scan or keras.ops.map"),
    ),
    "size": (
        "makes a tensor whose shape depends on the values of another one",
        _without_values(
            "Keep the shape with keras.ops.where or a mask, or compute the size outside and pass it as a Python number"
        ),
    ),
    "branches": (
        "calls keras.ops.cond with branches that return different structures, shapes or dtypes",
        "Return the same structure of tensors, of the same shapes and dtypes, from both",
    ),
    "loop": (
        "runs a loop whose body returns other shapes or dtypes than it was given",
        "Return from the body what it takes: the same structure, shapes and dtypes",
    ),
    "operator": (
        "calls what cannot be traced",
        "Use an operator that has shapes without values (a custom one needs register_fake), or run under uk.debug()",
    ),
    "native": (
        "uses tensors as state that are no Keras variables",
        "Keep state in keras.Variable, a torch.nn.Module in keras.layers.TorchModuleWrapper, and train with "
        "uk.GradientTape and a Keras optimizer",
    ),
    "backward": (
        "calls backward() of PyTorch's own",
        "A uk.function records for uk.GradientTape and uk.grad: use one of them, or torch.enable_grad() around what is "
        "computed",
    ),
}


@dataclass(frozen=True)
class Refusal:
    """What a function did that it cannot do while it is traced.

    Attributes:
        what: what it did, and where.
        instead: what to do in its place.
        cause: what the framework raised.
    """

    what: str
    instead: str
    cause: BaseException

    def error(self) -> TraceError:
        """Return an error that is also of the class that the framework raised."""
        return _error_of(type(self.cause))(f"{self.what}. {self.instead}")


def find_refusal(f: Callable[..., Any], backend: Backend, error: BaseException) -> Refusal | None:
    """Tell from an error what a traced function did; None where the error is about something else."""
    if isinstance(error, UnikerasError):
        return None
    found = next(((e, fault) for e in _walk_causes(error) if (fault := backend.trace_fault(e))), None)
    if found is None:
        return None
    cause, fault = found
    what, instead = _SENTENCES[fault]
    line = _users_line(cause.__traceback__) or _users_line(error.__traceback__) or _source.first_line(f)
    if fault in ("operator", "native"):
        what = f"{what} ({_first_line(cause)})"
    return Refusal(f"{_source.name(f)} {what} at {line}", instead, cause)


@contextlib.contextmanager
def explain_faults(f: Callable[..., Any], backend: Backend) -> Iterator[None]:
    """Let a framework's error about a traced tensor say which line of the user's asks for what, and what to do.

    The error is a TraceError, and of the class that the framework raised, which is its cause.
    """
    try:
        yield
    except Exception as error:
        refusal = find_refusal(f, backend, error)
        if refusal is None:
            raise
        raise refusal.error() from refusal.cause


def _first_line(error: BaseException) -> str:
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _walk_causes(error: BaseException) -> Iterator[BaseException]:
    """Give an error, and those that it stands for: Keras raises others in the place of what a layer raised."""
    current: BaseException | None = error
    while current is not None:
        yield current
        if not _ends_in_library(current.__traceback__):
            return  # the user's own, whatever was handled before it
        current = current.__cause__ or current.__context__


def _steps(traceback: TracebackType | None) -> Iterator[TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def _module(step: TracebackType) -> str:
    return str(step.tb_frame.f_globals.get("__name__", ""))


def _ends_in_library(traceback: TracebackType | None) -> bool:
    last = [*_steps(traceback)][-1:]
    return bool(last) and is_library_name(_module(last[0]))


def _users_line(traceback: TracebackType | None) -> str | None:
    steps = [step for step in _steps(traceback) if not is_library_name(_module(step))]
    return f"{steps[-1].tb_frame.f_code.co_filename}:{steps[-1].tb_lineno}" if steps else None


def _error_of(kind: type[BaseException]) -> type[TraceError]:
    """Return the class of a TraceError that code which catches the framework's own error catches too."""
    names = {"__init__": _initialize, "__str__": Exception.__str__, "__reduce__": _reduce}
    with contextlib.suppress(TypeError):  # some classes have a layout of their own
        return type(TraceError.__name__, (TraceError, kind), {**names, "__module__": TraceError.__module__})
    return TraceError


def _initialize(self: Exception, message: str) -> None:
    Exception.__init__(self, message)  # the framework's class may want other arguments


def _reduce(self: Exception) -> Any:
    return TraceError, self.args
