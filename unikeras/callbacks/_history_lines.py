"""The lines of a history file: one JSON object a line, and the runs that they tell of.

    {"event": "begin", "time": 1.7e9, "step": 0, "backend": "jax"}
    {"event": "step", "time": ..., "epoch": 0, "step": 100, "logs": {"loss": 0.7}}
    {"event": "epoch", "time": ..., "epoch": 0, "step": 300, "seconds": 2.5, "logs": {...}}
    {"event": "resume", "time": ..., "epoch": 3, "step": 900}       # lines before it, from this epoch on, do not count
    {"event": "end", "time": ..., "epoch": 9, "step": 3000}

JSON has no NaN and no Inf: they are the texts "NaN", "Infinity" and "-Infinity".
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unikeras.errors import ArtifactNotFound, CorruptArtifact

_EVENTS = ("begin", "step", "epoch", "resume", "end")
_NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
# A line of a million metrics was not written by a callback.
_LONGEST_LINE = 2**24


@dataclass
class Run:
    """What a history file tells of one run.

    Attributes:
        epochs: the metrics of each epoch, by its number from 0; what a resumed run did anew is there once.
        steps: the metrics of single steps, by the number of steps done.
        resumed: the epochs at which the run was resumed.
        is_finished: whether `fit` returned.

    Example:
        >>> Run(epochs={0: {"loss": 0.5}, 1: {"loss": 0.25}}).best("loss")
        1
    """

    epochs: dict[int, dict[str, float]] = field(default_factory=dict)
    steps: dict[int, dict[str, float]] = field(default_factory=dict)
    resumed: list[int] = field(default_factory=list)
    is_finished: bool = False

    @property
    def metrics(self) -> list[str]:
        """The names of all metrics, in the order of their first epoch."""
        return list(dict.fromkeys(name for logs in self.epochs.values() for name in logs))

    def best(self, metric: str) -> int | None:
        """Return the epoch where a metric was best: lowest, or highest for accuracies and the like.

        Args:
            metric: a name of `metrics`.

        Returns:
            The epoch; None where the metric has no finite value.
        """
        found = {
            epoch: logs[metric]
            for epoch, logs in self.epochs.items()
            if metric in logs and math.isfinite(logs[metric])
        }
        choose = max if _higher_is_better(metric) else min
        return choose(found, key=lambda epoch: found[epoch]) if found else None


def read_history(path: Any) -> list[Run]:
    """Return the runs of a history file.

    A torn last line, which a killed process may leave, is ignored.

    Args:
        path: what `HistoryFile` wrote.

    Returns:
        The runs in the order of their beginning.

    Raises:
        ArtifactNotFound: there is no such file.
        CorruptArtifact: it has no history, or a line inside it is damaged; the message names the line.

    Example:
        >>> import pathlib
        >>> lines = ['{"event": "begin"}', '{"event": "epoch", "epoch": 0, "logs": {"loss": 0.5}}', ""]
        >>> _ = pathlib.Path("run.jsonl").write_text(chr(10).join(lines))
        >>> read_history("run.jsonl")[0].epochs
        {0: {'loss': 0.5}}
    """
    runs: list[Run] = []
    try:
        for number, line in _whole_lines(Path(path)):
            _take(runs, _parsed(path, number, line))
    except FileNotFoundError as error:
        raise ArtifactNotFound(f"there is no history file {str(path)!r}") from error
    except OSError as error:
        raise CorruptArtifact(f"{path} cannot be read: {error.strerror or error}") from error
    if not runs:
        raise CorruptArtifact(f"{path} has no history; expected lines that uk.callbacks.HistoryFile wrote")
    return runs


def dump(line: Mapping[str, Any]) -> bytes:
    """Return a line as JSON, with its end."""
    return json.dumps(_plain(line), ensure_ascii=False, allow_nan=False).encode("utf-8", "replace") + b"\n"


def repair(path: Path) -> bool:
    """Cut a torn last line off.

    Args:
        path: a history file, or one that does not exist yet.

    Returns:
        Whether the file has a run.

    Raises:
        CorruptArtifact: the file is none of ours; it is left as it was.
    """
    try:
        with path.open("rb") as file:
            first = file.readline(_LONGEST_LINE)
            size = file.seek(0, os.SEEK_END)
            if first.endswith(b"\n"):
                _parsed(path, 1, first)
                end = _end_of_last_line(file, size)
            elif _is_torn(first):
                end = 0
            else:
                raise CorruptArtifact(f"{path} is another file, and no history; nothing was written to it")
    except FileNotFoundError:
        return False
    if end < size:
        os.truncate(path, end)
    return end > 0


def _is_torn(first: bytes) -> bool:
    return b'{"event": "begin", '.startswith(first[:19])


def _end_of_last_line(file: Any, size: int) -> int:
    """Return where the last complete line of a file ends."""
    end = size
    while end > 0:
        start = max(0, end - 65536)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return int(start + found + 1)
        end = start
    return 0


def _whole_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        number = 0
        while line := file.readline(_LONGEST_LINE):
            number += 1
            if not line.endswith(b"\n"):
                if len(line) == _LONGEST_LINE:
                    raise CorruptArtifact(f"{path}, line {number} is longer than a line of a history can be")
                return
            yield number, line


def _parsed(path: Any, number: int, line: bytes) -> dict[str, Any]:
    """Return a line's object, checked."""
    try:
        parsed = json.loads(line.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise CorruptArtifact(f"{path}, line {number} is no JSON of a history: {error}") from error
    if not isinstance(parsed, dict) or parsed.get("event") not in _EVENTS:
        raise CorruptArtifact(
            f"{path}, line {number} is no line of a history file: expected an object with 'event'"
        )
    for name in ("epoch", "step"):
        value = parsed.get(name, 0)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**53:
            raise CorruptArtifact(
                f"{path}, line {number}: {name!r} is {value!r:.80}; expected a whole number from 0"
            )
    if not isinstance(parsed.get("logs", {}), dict):
        raise CorruptArtifact(f"{path}, line {number}: 'logs' is no object")
    return parsed


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not in JSON")


def _take(runs: list[Run], line: Mapping[str, Any]) -> None:
    """Add what a line says to the last run, or begin one."""
    event, epoch, step = line["event"], line.get("epoch", 0), line.get("step", 0)
    if event == "begin" or not runs:
        runs.append(Run())
    run = runs[-1]
    if event == "resume":
        run.epochs = {number: logs for number, logs in run.epochs.items() if number < epoch}
        run.steps = {number: logs for number, logs in run.steps.items() if number <= step}
        run.resumed.append(epoch)
        run.is_finished = False
    elif event == "epoch":
        run.epochs[epoch] = _numbers(line.get("logs", {}))
    elif event == "step":
        run.steps[step] = _numbers(line.get("logs", {}))
    elif event == "end":
        run.is_finished = True


def _numbers(logs: Mapping[str, Any]) -> dict[str, float]:
    """Return what of the logs is a number."""
    found = {}
    for name, value in logs.items():
        value = _NON_FINITE.get(value, value) if isinstance(value, str) else value
        if isinstance(value, int | float) and not isinstance(value, bool):
            found[name] = float(value) if abs(value) < 1e308 or not isinstance(value, int) else math.inf
    return found


def _plain(value: Any) -> Any:
    """Return a value that JSON has; what is no number, text or container becomes its text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if value is None or isinstance(value, bool | int | str):
        return value
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _higher_is_better(metric: str) -> bool:
    name = metric.removeprefix("val_").lower()
    better = ("acc", "auc", "precision", "recall", "f1", "f_score", "iou", "dice", "r2", "cosine_similarity")
    return any(part in name for part in better)
