"""The errors of unikeras: each says what came, what is allowed and what to do next.

Every error is a `UnikerasError` and, where Python has a matching built-in, that too, so that code written
for the built-in keeps working:

    >>> from unikeras.errors import BackendUnavailable, UnikerasError
    >>> issubclass(BackendUnavailable, UnikerasError), issubclass(BackendUnavailable, ImportError)
    (True, True)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

__all__ = [
    "ArgumentError",
    "ArgumentValueError",
    "ArtifactError",
    "ArtifactNotFound",
    "BackendUnavailable",
    "CannotImport",
    "CannotLower",
    "CannotSave",
    "CannotStream",
    "CheckpointMismatch",
    "CorruptArtifact",
    "CorruptSession",
    "DatasetError",
    "ExportError",
    "ExportMismatch",
    "GradientError",
    "LeakedTensorError",
    "MissingDependency",
    "NonFiniteError",
    "OutOfMemory",
    "OutputError",
    "ParityError",
    "RemoteError",
    "SessionConflict",
    "SessionError",
    "SessionMismatch",
    "SignatureError",
    "StateError",
    "StepError",
    "StoreError",
    "TapeError",
    "TraceError",
    "TransformError",
    "UnikerasError",
    "UnknownBackend",
    "UnknownFormat",
    "UnknownOperator",
    "UnknownSession",
    "UnsafeArtifact",
    "WeightsMismatch",
    "WorkerDied",
    "WorkerError",
    "WorkerTimeout",
]


class UnikerasError(Exception):
    """The base of every error that unikeras raises on purpose.

    Attributes:
        cli_exit_code: what `unikeras` exits with after it: 1 where the work failed; 2 where the caller used it wrongly,
            or something that it needs is missing.
    """

    cli_exit_code: ClassVar[int] = 1


class ArgumentError(UnikerasError, TypeError):
    """An argument is of a type that the call cannot use."""

    cli_exit_code = 2


class ArgumentValueError(UnikerasError, ValueError):
    """An argument has a value that the call cannot use, or two arguments contradict each other."""

    cli_exit_code = 2


class UnknownBackend(UnikerasError, ValueError):
    """A backend was named that unikeras has never heard of."""

    cli_exit_code = 2


class BackendUnavailable(UnikerasError, ImportError):
    """A backend was asked for whose framework is not installed, or does not import."""

    cli_exit_code = 2


class MissingDependency(UnikerasError, ImportError):
    """An optional library is needed and not installed; the message holds the pip line."""

    cli_exit_code = 2


class TapeError(UnikerasError, RuntimeError):
    """A `GradientTape` was used in a way that it cannot answer."""


class TransformError(UnikerasError, RuntimeError):
    """A function does something under a transform that has no meaning there."""


class StateError(UnikerasError, RuntimeError):
    """A compiled function met state that it did not know, or state was asked for where there is none."""


class LeakedTensorError(StateError):
    """A tensor is used that belonged to the tracing of a compiled function, and has no value."""


class TraceError(UnikerasError, TypeError):
    """A function that is compiled asks for a tensor's value while it is traced, or gives branches that do not fit.

    The error raised is also an instance of the class that the framework raised, which is its `__cause__`.
    """


class GradientError(UnikerasError, ValueError):
    """Gradients do not fit the variables that they are applied to."""


class StepError(UnikerasError, ValueError):
    """A train, test or predict step returned what `fit`, `evaluate` or `predict` cannot use."""


class NonFiniteError(UnikerasError, FloatingPointError):
    """A NaN or an Inf appeared under `uk.debug(nans=True)`."""


class ExportError(UnikerasError, RuntimeError):
    """An export failed; nothing stands under the final name.

    Attributes:
        report: what was tried, where the export got far enough to have one.
    """

    def __init__(self, message: str, report: Any = None) -> None:
        super().__init__(message)
        self.report = report


class ExportMismatch(ExportError):
    """Artifacts were written, and none of them computes what the model computes."""


class CannotLower(ExportError):
    """Parts of a model have no counterpart in a native module; the message names all of them.

    Attributes:
        reasons: why not, by the name of each layer or operation.
    """

    def __init__(self, message: str, reasons: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.reasons = dict(reasons or {})


class CannotImport(UnikerasError, ValueError):
    """A module of PyTorch cannot become a Keras model; the message names all reasons.

    Attributes:
        reasons: one sentence each, with the line of the module where that is known.
    """

    def __init__(self, message: str, reasons: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.reasons = tuple(reasons)


class CannotSave(UnikerasError, ValueError):
    """A layer has no form in which it can be saved; nothing is written."""


class ParityError(UnikerasError, AssertionError):
    """Two sides of a comparison differ beyond the tolerance, or one did not finish.

    Attributes:
        report: what `unikeras.compare.parity` returned, or the `ImportTrial` that differs.
    """

    def __init__(self, message: str, report: Any = None) -> None:
        super().__init__(message)
        self.report = report


class CannotStream(UnikerasError, ValueError):
    """A model fed in chunks would not compute what it computes at once; the message names the layer.

    Attributes:
        layer: the layer's path in the model.
    """

    def __init__(self, message: str, layer: str = "") -> None:
        super().__init__(message)
        self.layer = layer


class UnknownFormat(UnikerasError, ValueError):
    """A format, or a suffix, that stands for no export format."""

    cli_exit_code = 2


class SignatureError(UnikerasError, ValueError):
    """Inputs, or a signature asked for, do not fit what a model or an artifact takes."""


class CorruptArtifact(UnikerasError, ValueError):
    """A file is not a readable artifact of its format."""


class UnsafeArtifact(UnikerasError, ValueError):
    """Opening a file could run its code, or touch other files; `trust=True` opens it all the same.

    It is a ValueError as `CorruptArtifact` is. It is no PermissionError: the system would allow it, and code that
    answers an OSError by changing modes or trying again must not do so here.
    """


class ArtifactError(UnikerasError, RuntimeError):
    """The runtime of an artifact failed, although the inputs fit its signature."""


class ArtifactNotFound(UnikerasError, FileNotFoundError):
    """There is nothing at the path of an artifact."""


class CheckpointMismatch(UnikerasError, ValueError):
    """A checkpoint does not fit what it is restored into; nothing was restored.

    Attributes:
        differences: one line for each.
    """

    def __init__(self, message: str, differences: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.differences = tuple(differences)


class DatasetError(UnikerasError, ValueError):
    """A data set cannot be read, or is not what training needs."""

    cli_exit_code = 2


class OutOfMemory(UnikerasError, MemoryError):
    """Something does not fit into the memory that it may use."""


class OutputError(UnikerasError, OSError):
    """A file or folder cannot be written."""

    cli_exit_code = 2


class WeightsMismatch(UnikerasError, ValueError):
    """Weights of one framework do not fit a model of another; the message names all that do not.

    Attributes:
        report: what would have gone where, where that is known.
    """

    def __init__(self, message: str, report: Any = None) -> None:
        super().__init__(message)
        self.report = report


class UnknownOperator(UnikerasError, NotImplementedError):
    """A module of PyTorch uses operators that have no rule in Keras' operations; the message names all of them.

    Attributes:
        operators: where each stands in the module, by its name.
    """

    def __init__(self, message: str, operators: Mapping[str, Sequence[str]] | None = None) -> None:
        super().__init__(message)
        self.operators = {name: list(places) for name, places in (operators or {}).items()}


class WorkerError(UnikerasError, RuntimeError):
    """Work in another process did not finish."""


class WorkerDied(WorkerError):
    """The worker process ended in the middle of its work.

    Attributes:
        exit_code: what the process ended with; negative where a signal ended it.
    """

    def __init__(self, message: str, exit_code: int | None = None) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class WorkerTimeout(WorkerError, TimeoutError):
    """The worker did not answer within the time allowed, and was stopped."""


class RemoteError(WorkerError):
    """A function raised in a worker; the message ends in the traceback from there.

    The error raised is also an instance of the original class where that class can be
    subclassed, so `except ValueError:` works across processes.

    Attributes:
        remote_type: the qualified name of the original class.
        remote_traceback: the traceback, as printed in the worker.
    """

    def __init__(self, message: str, remote_type: str = "", remote_traceback: str = "") -> None:
        super().__init__(message)
        self.remote_type = remote_type
        self.remote_traceback = remote_traceback


class StoreError(UnikerasError, OSError):
    """A store of sessions cannot be opened, read or written."""


class SessionError(UnikerasError):
    """Some sessions cannot take their turn; their memory is as it was.

    Attributes:
        sessions: why not, by the id of each session.
        outputs: by id, what the sessions returned that had their turn in the same call; their memory is written.
    """

    def __init__(
        self,
        message: str,
        sessions: Mapping[str, str] | None = None,
        outputs: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.sessions = dict(sessions or {})
        self.outputs = dict(outputs or {})


class UnknownSession(SessionError, KeyError):
    """There is no session of that name."""

    def __str__(self) -> str:
        return Exception.__str__(self)  # a KeyError shows its argument in quotes


class CorruptSession(SessionError, ValueError):
    """What a store holds of a session is damaged, or was not written by unikeras."""


class SessionMismatch(SessionError, ValueError):
    """A session's memory was written by a different model."""


class SessionConflict(SessionError, RuntimeError):
    """Others wrote a session each time that this call was about to."""


def __dir__() -> list[str]:
    return sorted(__all__)
