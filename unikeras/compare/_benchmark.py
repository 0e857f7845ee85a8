"""`benchmark`: check the call before any work, measure in processes of their own, report."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from typing import Any

from unikeras import backends
from unikeras.compare._benchmark_data import Data, data_of, default_loss
from unikeras.compare._benchmark_request import (
    REFERENCES,
    Problems,
    Request,
    check_artifacts,
    check_backends,
    check_batch_sizes,
    names_of,
)
from unikeras.compare._benchmark_result import BenchmarkResult
from unikeras.compare._benchmark_rounds import Report, measure_all, pieces
from unikeras.errors import ArgumentError


def benchmark(
    model: Any,
    x: Any = None,
    y: Any = None,
    *,
    backends: str | Sequence[str] | None = None,
    artifacts: str | Sequence[str] = (),
    batch_sizes: Sequence[int] = (1, 64),
    train: bool = True,
    predict: bool = True,
    references: str | Sequence[str] = ("hand-written",),
    rounds: int = 5,
    seconds: float = 0.3,
    timeout: float | None = 600.0,
) -> BenchmarkResult:
    """Measure a model under each backend and in each format, here and now, and say which is fastest.

    Each backend and each artifact has a process of its own. For a task and a batch size, each makes its first call
    alone; then they take turns, so that a busy moment of the machine reaches all. Training is
    `uk.Model.from_keras(model).train_on_batch`, prediction is `predict_on_batch`, and `predict` of an artifact. What
    fails, crashes or runs out of memory is a row with its error. A progress bar is drawn on stderr, in a terminal.

    Args:
        model: a built `keras.Model`. Where it is not compiled, it is trained with Adam and a default loss, which the
            result names.
        x: inputs as for `fit`, each of shape (rows, ...); batches are its first rows. None for seeded samples of what
            the model declares, where dynamic axes other than the batch are 32.
        y: targets as for `fit`, with as many rows; None to make up what the loss takes.
        backends: names such as `["torch", "jax"]`; None for every installed one.
        artifacts: formats to predict with as well, such as `["onnx", "pt2"]`; written for the occasion, and verified.
        batch_sizes: numbers of rows in a batch.
        train: whether to measure training steps.
        predict: whether to measure predictions.
        references: what to measure beside it on each backend: `"hand-written"`, the framework's own compiled loop over
            the same Keras model, where it is known; `"keras"`, the same methods of `keras.Model`.
        rounds: how often each row gets its turn.
        seconds: for how long in a turn, at least one call.
        timeout: seconds for one call of a process; None for no limit.

    Returns:
        A result with `.table()`, `.plot()`, `.save("x.html")`, `.to_json()`, `.rows` and `.advice`.

    Raises:
        ArgumentError: the model is no built `keras.Model`.
        UnknownBackend, BackendUnavailable, UnknownFormat: a backend or a format cannot be used.
        ArgumentValueError: another argument is wrong, or data does not fit the model; one error names all problems.

    Example:
        >>> import keras, unikeras as uk
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        >>> result = benchmark(model, backends=[uk.backend()], batch_sizes=[2], train=False, rounds=1, seconds=0.01)
        >>> [(row.label, row.error) for row in result.rows if row.way == "unikeras"] == [(uk.backend(), None)]
        True
    """
    import keras

    if not isinstance(model, keras.Model) or not model.built:
        what = (
            "a model that is not built; call it once on data"
            if isinstance(model, keras.Model)
            else repr(model)
        )
        raise ArgumentError(f"benchmark takes a built keras.Model; received {what:.200}")
    problems = Problems()
    data = data_of(model, x, y, problems)
    request = Request(
        check_backends(backends, problems),
        check_artifacts(artifacts, problems),
        check_batch_sizes(batch_sizes, data.fixed_batch if data else None, problems),
        tuple(task for task, wanted in (("train", train), ("predict", predict)) if wanted),
        _check_references(references, problems),
        *_check_amounts(rounds, seconds, timeout, problems),
    )
    if not request.tasks:
        problems.add("neither train nor predict is asked for")
    problems.report()
    assert data is not None  # or there would be a problem
    loss = default_loss(y, getattr(model, "outputs", None))
    with _progress(pieces(request)) as report:
        rows = measure_all(model, data, loss, request, report)
    return BenchmarkResult(
        model.name, model.count_params(), rows, _machine(request), _notes(model, data, loss, request)
    )


def _check_references(names: str | Sequence[str], problems: Problems) -> tuple[str, ...]:
    listed = names_of("a reference is", names, problems)
    if unknown := [name for name in listed if name not in REFERENCES]:
        problems.add(f"unknown reference {', '.join(unknown)}; there are {', '.join(REFERENCES)}")
    return tuple(listed)


def _check_amounts(
    rounds: Any, seconds: Any, timeout: Any, problems: Problems
) -> tuple[int, float, float | None]:
    if not isinstance(rounds, int) or rounds < 1:
        problems.add(f"rounds is a whole number above 0; received {rounds!r}")
    for label, value in (("seconds", seconds), ("timeout", timeout)):
        if not (label == "timeout" and value is None) and not (isinstance(value, int | float) and value > 0):
            problems.add(f"{label} is a number above 0; received {value!r}")
    return rounds, seconds, timeout


@contextmanager
def _progress(total: int) -> Iterator[Report]:
    """Draw a bar on stderr; each call of what this yields ends one piece of work and names the next."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    bar = Progress(
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
        refresh_per_second=2,  # its thread takes time from what is measured
    )
    with bar:
        task = bar.add_task("", total=total)
        done = -1

        def report(text: str) -> None:
            nonlocal done
            done += 1
            bar.update(task, completed=done, description=text)

        yield report


def _machine(request: Request) -> dict[str, Any]:
    versions = {name: metadata.version(name) for name in ("unikeras", "keras", "numpy")}
    versions |= {name: backends.version(name) or "?" for name in request.backends}
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "load": [round(load, 2) for load in os.getloadavg()],
        "versions": versions,
    }


def _notes(model: Any, data: Data, loss: str, request: Request) -> list[str]:
    made_up = [] if data.inputs is not None else ["inputs are seeded samples of what the model declares"]
    if "train" not in request.tasks:
        return made_up
    made_up += [] if data.targets is not None else ["targets are made up"]
    if not model.compiled:
        return [*made_up, f"the model is not compiled: trained with Adam and {loss}"]
    return [*made_up, f"trained with {type(model.optimizer).__name__} and {_name(model.loss)}"]


def _name(loss: Any) -> str:
    return loss if isinstance(loss, str) else str(getattr(loss, "__name__", type(loss).__name__))
