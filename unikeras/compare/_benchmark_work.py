"""What a process of a benchmark does: hold a model or an artifact, run it, time it, and tell its memory."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unikeras._base.output_streams import hold_back_output
from unikeras.errors import ArgumentValueError

Call = Callable[[], Any]


@dataclass(frozen=True)
class Job:
    """One row to measure.

    Attributes:
        way: `"unikeras"`, `"keras"`, `"hand-written"` or `"artifact"`.
        task: `"train"` or `"predict"`.
        x: one batch, in the model's own structure.
        y: its targets; None to make them up, and where nothing is trained.
        model: what `_keras.archive.pack` returned; None for an artifact.
        loss: for a model that was not compiled.
        artifact: its path.
    """

    way: str
    task: str
    x: Any
    y: Any = None
    model: tuple[bytes, dict[str, Any]] | None = None
    loss: str = "mean_squared_error"
    artifact: str = ""


@dataclass(frozen=True)
class Start:
    """How a row began.

    Attributes:
        first_s: seconds of the first call, which traces and compiles, and opens an artifact.
    """

    first_s: float


class Unknown(ArgumentValueError):
    """A hand-written loop is not known for this model on this backend."""


_held: dict[str, Call] = {}


def load() -> None:
    """Import keras and the framework of this process, without their greetings."""
    with hold_back_output():
        from unikeras import backends

        backends.current()


def prepare(job: Job) -> Start:
    """Make what a row runs, and run it for the first times.

    Raises:
        Unknown: there is no hand-written loop for the model.
    """
    with hold_back_output():
        _reset_peak()
        start = time.perf_counter()
        call = _call_of(job)
        if job.model is not None:
            start = time.perf_counter()  # to make the model anew is the benchmark's need, not the user's
        call()
        first = time.perf_counter() - start
        call()  # some frameworks still allocate, or trace once more
        _held[job.way] = call
        return Start(first)


def measure(way: str, seconds: float, most: int = 1000) -> list[float]:
    """Return the seconds of each call in a turn: at least one, and as many as fit into the time."""
    call = _held[way]
    times: list[float] = []
    with hold_back_output():
        end = time.perf_counter() + seconds
        while not times or (time.perf_counter() < end and len(times) < most):
            times.append(_seconds(call))
    return times


def finish(way: str) -> float | None:
    """Forget a row; return the most memory that the process had since the row began, in MiB."""
    import gc

    peak = _peak_mib()
    _held.pop(way, None)
    gc.collect()
    return peak


def _seconds(call: Call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _call_of(job: Job) -> Call:
    if job.model is None:
        from unikeras.export import load_artifact

        artifact = load_artifact(job.artifact, trust=True)  # written here, a moment ago
        return lambda: artifact.predict(job.x)
    from unikeras._keras import archive

    return (_training if job.task == "train" else _prediction)(archive.unpack(*job.model), job)


def _training(model: Any, job: Job) -> Call:
    from unikeras.compare._benchmark_data import targets_for

    if not getattr(model, "compiled", False):
        model.compile("adam", job.loss)
    y = job.y
    if y is None:
        y = targets_for(model.loss, model.predict_on_batch(job.x))
    if job.way == "hand-written":
        return _hand_written_training(model, job.x, y)
    trained = _with_our_steps(model) if job.way == "unikeras" else model
    return lambda: trained.train_on_batch(job.x, y)


def _prediction(model: Any, job: Job) -> Call:
    if job.way == "hand-written":
        from unikeras import backends

        predict = backends.current().plain_prediction(model)
        if predict is None:
            raise Unknown("no hand-written prediction is known")
        return lambda: predict(job.x)
    predicts = _with_our_steps(model) if job.way == "unikeras" else model
    return lambda: predicts.predict_on_batch(job.x)


def _with_our_steps(model: Any) -> Any:
    from unikeras.training import Model

    return Model.from_keras(model)


def _hand_written_training(model: Any, x: Any, y: Any) -> Call:
    import keras

    from unikeras import backends

    backend, loss = backends.current(), model.loss
    if isinstance(loss, list | tuple | dict) or len(model.outputs or [0]) != 1 or model.losses:
        raise Unknown("a hand-written step is known for models with one output and one loss")
    step = backend.plain_step(model, model.optimizer, keras.losses.get(loss))
    if step is None:
        raise Unknown("no hand-written step is known")
    return lambda: backend.synchronize(step(x, y))


def _reset_peak() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:  # not Linux, or not allowed: the peak is the process's own since its start
        return


def _peak_mib() -> float | None:
    """Return the peak of the resident memory in MiB."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024
    except (OSError, IndexError, ValueError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (2**20 if sys.platform == "darwin" else 1024)
