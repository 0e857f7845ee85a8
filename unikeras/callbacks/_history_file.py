"""`HistoryFile`: the metrics of a run as lines of JSON, which survive it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from unikeras._base.rank import rank
from unikeras._keras.trainer_parts import pythonify_logs
from unikeras.callbacks._appended_file import AppendedFile
from unikeras.callbacks._history_lines import dump, repair
from unikeras.callbacks._learning_rate import learning_rates, steps_done
from unikeras.callbacks._step_counter import StepCounter, check_frequency
from unikeras.errors import OutputError


class HistoryFile(keras.callbacks.Callback):
    """Appends the metrics of each epoch to a file, one JSON object a line; works in any `fit`.

    Nothing in the file is ever changed, but a torn last line, which a killed process may leave, is cut off. A run that
    begins with epoch 0 has a line "begin"; one that goes on (`fit(initial_epoch=5)`, or after `restore`) has a line
    "resume", and readers drop what stands before it from that epoch on, so that no epoch is there twice. A disk that
    fails is a warning, and the training goes on. Only the process of rank 0 writes.

    Args:
        path: the file, such as `"run.jsonl"`; its folder is made.
        every_steps: write a line for each so many batches as well; 0 for none.

    Raises:
        ArgumentValueError: `every_steps` is negative.
        CorruptArtifact: when the training begins, the file is there and is no history.
        OutputError: when the training begins, the file cannot be written.

    Example:
        >>> import keras, numpy as np
        >>> from unikeras.callbacks import read_history
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> x = np.zeros((8, 2), "float32")
        >>> _ = model.fit(x, x[:, :1], epochs=3, verbose=0, callbacks=[HistoryFile("run.jsonl")])
        >>> list(read_history("run.jsonl")[-1].epochs)
        [0, 1, 2]
    """

    def __init__(self, path: Any, every_steps: int = 0) -> None:
        super().__init__()
        self.path = Path(path)
        self.every_steps = check_frequency("every_steps", every_steps)
        self._counter = StepCounter()
        self._is_restored = False
        self._has_begun = False
        self._epoch = 0
        self._epoch_start = 0.0
        self._file: AppendedFile | None = None
        self._has_run = False

    @property
    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps: how many steps the file tells of."""
        return {"step": self._counter.step}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on with a run: the next `fit` continues the last run of the file.

        Args:
            state: what `state` was when the checkpoint was made.
        """
        self._counter.restore(int(state["step"]))
        self._is_restored = True

    def hears(self, begin: int, end: int) -> bool:
        """Say whether the callback is to be told of a batch; the loop of `uk.Model` asks before each.

        Args:
            begin: the first batch of the execution, from 0 in each epoch.
            end: its last batch.

        Returns:
            True for every `every_steps`-th batch.
        """
        self._counter.begin_batch(begin)
        self._counter.end_batch(end)
        return self._is_due()

    def on_train_begin(self, logs: Any = None) -> None:
        self._counter.begin(steps_done(self.model.optimizer), self.params.get("steps"))
        self._has_begun = False
        if rank() == 0:
            try:
                self._has_run = repair(self.path)
            except OSError as error:
                raise OutputError(f"cannot write {self.path}: {error.strerror or error}") from error
            self._file = AppendedFile(self.path)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch, self._epoch_start = epoch, time.time()
        self._counter.begin_epoch()
        if not self._has_begun:
            self._has_begun = True
            is_resumed = self._has_run and (self._is_restored or epoch > 0)
            self._is_restored = False
            if is_resumed:
                self._write("resume", epoch=epoch, step=self._counter.step)
            else:
                self._write("begin", step=self._counter.step, backend=keras.backend.backend())

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._counter.begin_batch(batch)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._counter.end_batch(batch)
        if self._is_due():
            logs = pythonify_logs(logs)
            self._write("step", sync=False, epoch=self._epoch, step=self._counter.step, logs=logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs = pythonify_logs(logs)
        seconds = time.time() - self._epoch_start
        logs = learning_rates(self.model.optimizer) | logs
        self._write("epoch", epoch=epoch, step=self._counter.step, seconds=seconds, logs=logs)

    def on_train_end(self, logs: Any = None) -> None:
        self._write("end", epoch=self._epoch, step=self._counter.step)
        if self._file is not None:
            self._file.close()
            self._file = None

    def _is_due(self) -> bool:
        return self.every_steps > 0 and self._counter.passes(self.every_steps)

    def _write(self, event: str, sync: bool = True, **values: Any) -> None:
        if self._file is not None:
            self._file.append(dump({"event": event, "time": time.time(), **values}))
            self._file.flush(sync)
