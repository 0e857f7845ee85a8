"""What PyTorch's errors say of a traced function that asks for values, or for what cannot be traced."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType

from unikeras.backends._contract import TraceFault

# Classes that torch does not export, by name: to import them would load the tracer with the backend.
_CLASSES: dict[str, TraceFault] = {
    "DynamicOutputShapeException": "size",
    "UnsupportedOperatorException": "operator",
    "UnsupportedFakeTensorException": "operator",
}
_TEXTS: list[tuple[str, TraceFault]] = [
    ("does not require grad and does not have a grad_fn", "backward"),
    (".numpy() is not supported for tensor subclasses", "numpy"),
    ("Cannot access data pointer of Tensor (e.g. FakeTensor", "numpy"),
    ("It appears that you're trying to get value out of a tracing tensor", "number"),
    ("unsupported format string passed to", "number"),
    ("the branches return different structures, shapes or dtypes", "branches"),
    ("the body of the loop returns another structure", "loop"),
]


class Untraceable(RuntimeError):
    """A traced function does what a graph cannot repeat.

    Attributes:
        fault: what it is about.
    """

    def __init__(self, message: str, fault: TraceFault = "native") -> None:
        super().__init__(message)
        self.fault = fault


def fault(error: BaseException) -> TraceFault | None:
    """Return what an error is about, as `Backend.trace_fault` does."""
    if isinstance(error, Untraceable):
        return error.fault
    name = type(error).__name__
    if name in ("DataDependentOutputException", "GuardOnDataDependentSymNode"):
        return "choice" if _asks_for_truth(error) else "number"
    if name in _CLASSES:
        return _CLASSES[name]
    message = str(error)
    found = next((fault for text, fault in _TEXTS if text in message), None)
    return found or ("operator" if _is_of_torch(error) else None)


def _asks_for_truth(error: BaseException) -> bool:
    """Say whether it was `bool(tensor)` that asked for a value; the frames of torch's tracer know the function."""
    functions = [step.tb_frame.f_locals.get("func") for step in _steps(error)]
    return any(getattr(function, "__name__", "") == "__bool__" for function in functions)


def _is_of_torch(error: BaseException) -> bool:
    """Say whether torch raised an error: its tracer may refuse what its kernels would run."""
    *_, last = [None, *_steps(error)]
    module = "" if last is None else str(last.tb_frame.f_globals.get("__name__", ""))
    return module == "torch" or module.startswith("torch.")


def _steps(error: BaseException) -> Iterator[TracebackType]:
    traceback = error.__traceback__
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next
