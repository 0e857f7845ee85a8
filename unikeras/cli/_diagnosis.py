"""What `unikeras doctor` finds out."""

from __future__ import annotations

import dataclasses
import platform
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import unikeras
from unikeras import backends, workers
from unikeras._base import optional as _optional
from unikeras.cli._sqlite_advice import SQLite, installed
from unikeras.errors import BackendUnavailable, RemoteError, UnikerasError, UnknownBackend, WorkerError

# Seconds for one framework to import and to look for its devices.
_PATIENCE = 120.0


@dataclass(frozen=True)
class Backend:
    """One backend: where `devices` is None it cannot run, because of `error` or for not being there."""

    name: str
    version: str | None
    devices: list[str] | None
    error: str | None
    install: str


@dataclass(frozen=True)
class Extra:
    """One optional extra, and which of its modules are not there."""

    name: str
    missing: list[str]
    install: str


@dataclass(frozen=True)
class Diagnosis:
    """All of it; `problem` says why the chosen backend cannot run and what to do, or is None."""

    unikeras: str
    python: str
    platform: str
    keras: str | None
    sqlite: SQLite
    chosen: str | None
    reason: str
    problem: str | None
    backends: list[Backend]
    extras: list[Extra]

    def as_dict(self) -> dict[str, Any]:
        """Return it as what JSON can say."""
        return dataclasses.asdict(self)


def diagnose() -> Diagnosis:
    """Ask every installed framework, each in a process of its own, and look at the rest from here."""
    choice = backends.choose()
    found = _backends()
    return Diagnosis(
        unikeras=unikeras.__version__,
        python=platform.python_version(),
        platform=platform.platform(),
        keras=_version("keras"),
        sqlite=installed(),
        chosen=choice.name,
        reason=choice.reason,
        problem=_problem(choice, found),
        backends=found,
        extras=[_extra(name) for name in _optional.EXTRAS],
    )


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _backends() -> list[Backend]:
    with ThreadPoolExecutor() as threads:
        try:
            return list(threads.map(_backend, backends.names()))
        finally:
            workers.shutdown()  # after Ctrl-C the threads would wait for them


def _backend(name: str) -> Backend:
    devices, error = None, None
    if name in backends.available():
        try:
            devices = workers.run_on(name, _devices, name, timeout=_PATIENCE)
        except RemoteError as failure:
            error = _brief(failure)
        except WorkerError as failure:
            error = str(failure)
    return Backend(name, backends.version(name), devices, error, backends.install_line(name))


def _brief(failure: RemoteError) -> str:
    cause = failure.__cause__
    text = str(cause) if isinstance(cause, UnikerasError) else f"{failure.remote_type}: {cause or 'no text'}"
    return " ".join(text.split())


def _devices(name: str) -> list[str]:
    from unikeras._base.output_streams import hold_back_output

    with hold_back_output():  # for frameworks that greet
        return backends.load(name).devices()


def _extra(name: str) -> Extra:
    missing = [module for module in _optional.EXTRAS[name] if not _optional.is_installed(module)]
    return Extra(name, missing, _optional.pip_line(*(missing or _optional.EXTRAS[name])))


def _problem(choice: backends.Choice, found: list[Backend]) -> str | None:
    if choice.name is None:
        return choice.reason
    try:
        backends.check(choice.name)
    except (UnknownBackend, BackendUnavailable) as error:
        return f"{error} (it was asked for because {choice.reason})"
    symptom = next(backend.error for backend in found if backend.name == choice.name)
    if symptom is None:
        return None
    able = [f"KERAS_BACKEND={backend.name}" for backend in found if backend.devices is not None]
    other = (
        f"{' or '.join(able)} chooses one that can" if able else "no other one that is installed can either"
    )
    return f"{choice.name}, the backend in use, cannot run here: {symptom}; {other}"
