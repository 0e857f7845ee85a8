"""The demo from its first check to its last file: train, compare, keep the best, export, report."""

from __future__ import annotations

import importlib.util
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

import unikeras as uk
from unikeras.apps.demo import artifacts, chart, curves, outputs, page, report, tables
from unikeras.apps.demo.data import load
from unikeras.apps.demo.dataset import Array, Dataset
from unikeras.apps.demo.loop import Training, train
from unikeras.errors import BackendUnavailable, MissingDependency, WorkerError

EPOCHS, EPOCHS_OF_MANY, MANY = 10, 3, 5_000
# The modules of the extra `demo`, by the distributions that bring them.
LIBRARIES = {"scikit-learn": "sklearn", "matplotlib": "matplotlib", "pillow": "PIL"}


@dataclass(frozen=True)
class Settings:
    """The options of a run.

    Attributes:
        backends: their names; empty for all that are installed.
        epochs: number of epochs; None for the default of the data set.
        out: the output folder.
        dataset: one of `unikeras.apps.demo.data.NAMES`.
        data: a folder of images; replaces `dataset`.
    """

    backends: tuple[str, ...] = ()
    epochs: int | None = None
    out: Path = Path("out")
    dataset: str = "digits"
    data: Path | None = None


def run(settings: Settings, console: Console) -> dict[str, Any]:
    """Run the demo and return its report, which is also written to the output folder.

    A failure in training, comparison or export does not end the run; the report's `failures` lists it.

    Args:
        settings: the options.
        console: where to print.

    Raises:
        UnknownBackend, BackendUnavailable, MissingDependency: something needed is not installed.
        DatasetError: the data cannot be read, or is unsuitable for training.
        OutputError: the output folder cannot be written to.
    """
    started = time.monotonic()
    names = _backends(settings.backends)
    _check_libraries()
    outputs.check(settings.out)
    formats = artifacts.reasons()
    data = load(settings.dataset, settings.data)
    epochs = settings.epochs or default_epochs(data)
    console.print(f"one training loop · {', '.join(names)}")
    outcomes = _train(names, data, epochs, console)
    trainings = report.finished(outcomes)
    result = report.assemble(data, epochs, outcomes)
    result["failures"] += _shortfalls(result, data.goal if epochs >= default_epochs(data) else None)
    outputs.write_text(settings.out / outputs.REPORT, outputs.as_json(result))
    console.print(tables.backends(result))
    if trainings:
        with console.status("exporting"):
            _ship(result, trainings, data, settings.out, formats)
        console.print(tables.artifacts(result))
    # Last: if the run is killed before the new checkpoint is written, the earlier one remains.
    outputs.clear(settings.out, keep=_written(result))
    result["seconds"] = time.monotonic() - started
    _write(result, data, settings.out)
    console.print(tables.ending(result, settings.out), soft_wrap=True)
    return result


def default_epochs(data: Dataset) -> int:
    """Return the default number of epochs for a data set."""
    return EPOCHS if len(data.train) < MANY else EPOCHS_OF_MANY


def _backends(asked: tuple[str, ...]) -> list[str]:
    names = [uk.backends.check(name) for name in dict.fromkeys(asked)] or uk.backends.available()
    if not names:
        lines = ", ".join(map(uk.backends.install_line, uk.backends.names()))
        raise BackendUnavailable(f"the demo needs a backend and none is installed; install one: {lines}")
    return names


def _check_libraries() -> None:
    missing = [name for name, module in LIBRARIES.items() if importlib.util.find_spec(module) is None]
    if missing:
        names = " ".join(missing)
        raise MissingDependency(
            f"the demo needs {', '.join(missing)}, not installed here: pip install {names}"
        )


def _train(
    names: list[str], data: Dataset, epochs: int, console: Console
) -> dict[str, Training | WorkerError]:
    """Train on one backend after another, all from the weights of the first that succeeds."""
    outcomes: dict[str, Training | WorkerError] = {}
    weights: list[Array] | None = None
    for name in names:
        try:
            outcomes[name] = training = uk.run_on(name, train, data, epochs, weights)
            weights = training.initial
        except WorkerError as error:
            outcomes[name] = error
            console.print(f"[red]{name} failed:[/] ", end="")
            console.print(first_line(error), markup=False)
        finally:
            # A worker that is stopped while it draws its bar leaves the cursor hidden.
            Console(stderr=True).show_cursor(True)
    return outcomes


def first_line(error: Exception) -> str:
    """Return an error's message without the worker's traceback."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _shortfalls(result: dict[str, Any], goal: float | None) -> list[str]:
    """Return the failures of the trainings, one sentence each."""
    failures = []
    for row in result["backends"]:
        if row["error"] is not None:
            failures.append(f"{row['backend']}: training failed: {row['error'].splitlines()[0]}")
        elif goal is not None and row["test_accuracy"] < goal:
            failures.append(f"{row['backend']}: test accuracy {row['test_accuracy']:.1%} is below {goal:.0%}")
    agreement = result["loss_agreement"]
    if agreement and not agreement["agree"]:
        failures.append(tables.disagreement(agreement))
    return failures


def _ship(
    result: dict[str, Any],
    trainings: dict[str, Training],
    data: Dataset,
    out: Path,
    formats: dict[str, str | None],
) -> None:
    """Write the checkpoint and the artifacts on the backend that trained the best weights."""
    best = result["best"]
    backend = best["backend"]
    try:
        probabilities = uk.run_on(backend, artifacts.save, data, trainings[backend].best, out)
    except WorkerError as error:
        result["failures"].append(f"{outputs.CHECKPOINT} was not written: {first_line(error)}")
        return
    best |= {"path": str(out / outputs.CHECKPOINT), **report.judge(probabilities, data)}
    for name, reason in formats.items():
        row = artifacts.unavailable(name, reason) if reason else _export(backend, out, name)
        result["artifacts"].append(row)
        if row["status"] == "failed":
            result["failures"].append(f"{name}: export failed: {row['error'].splitlines()[0]}")


def _written(result: dict[str, Any]) -> list[str]:
    """Return the names of the models that this run wrote."""
    rows = [row for row in result["artifacts"] if row["status"] == "verified"]
    checkpoint = [outputs.CHECKPOINT] if (result["best"] or {}).get("path") else []
    return checkpoint + [outputs.ARTIFACTS[row["format"]] for row in rows]


def _export(backend: str, out: Path, name: str) -> dict[str, Any]:
    try:
        return uk.run_on(backend, artifacts.export, out, name)
    except WorkerError as error:
        return artifacts.failed(name, str(error))


def _write(result: dict[str, Any], data: Dataset, out: Path) -> None:
    shown = curves.charts(result)
    outputs.write_bytes(out / outputs.CURVES, chart.png(shown))
    outputs.write_text(out / outputs.PAGE, page.render(result, shown, data, out))
    outputs.write_text(out / outputs.REPORT, outputs.as_json(result))
