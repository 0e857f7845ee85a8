"""When and where fit saves its checkpoints: what `uk.callbacks.Checkpoint` and `fit(resume=folder)` share."""

from __future__ import annotations

import numbers
import sys
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import keras

from unikeras._base.background_call import BackgroundCall
from unikeras._base.exit_signals import ExitSignals
from unikeras._keras.trainer_parts import CallbackList
from unikeras.errors import ArgumentError, ArgumentValueError, OutputError
from unikeras.training._saved_states import newest_state
from unikeras.training.checkpoints import _checkpoint_file
from unikeras.training.checkpoints._checkpointer import Checkpointer
from unikeras.training.checkpoints._saved_optimizers import build_as_saved, optimizers_of


class FitSaver(keras.callbacks.Callback):
    """Saves checkpoints while fit runs.

    The fit of a `uk.Model` takes it out of the callbacks, calls it after all of them, and saves where it stands; for
    that of a `keras.Model` it is a callback as others, which saves weights, optimizer and generators.

    Args:
        folder: where the checkpoints are.
        every_steps: save after so many batches.
        every_epochs: save after so many epochs; 1 where nothing else is said.
        every_seconds: save after the first batch that ends so long after the last save.
        keep: how many of the newest checkpoints stay; None for all.
        best: the name of the value of an epoch's logs that makes a checkpoint the best one, which stays too; each
            epoch that has it is saved.
    """

    def __init__(
        self,
        folder: Any,
        every_steps: int | None = None,
        every_epochs: int | None = None,
        every_seconds: float | None = None,
        keep: int | None = 3,
        best: Any = None,
    ) -> None:
        super().__init__()
        if every_steps is None and every_epochs is None and every_seconds is None:
            every_epochs = 1
        self.every_steps = _checked_count("every_steps", every_steps)
        self.every_epochs = _checked_count("every_epochs", every_epochs)
        self.every_seconds = _checked_seconds(every_seconds)
        self._options = {"keep": keep, "best": best}
        # The checkpointer checks these; and a relative path means the folder that it means now.
        self.folder = Checkpointer(folder, **self._options).folder
        self._checkpointer: Checkpointer | None = None
        self._writing: BackgroundCall | None = None
        self._keras_fit: _KerasFit | None = None
        self._signals = ExitSignals()
        self._saved_at = 0.0

    def open(self, model: Any, run: Any) -> None:
        """Lock the folder for a run.

        Args:
            model: what is trained.
            run: an object with `state` and `restore`.

        Raises:
            OutputError: the folder cannot be written to, or another process saves there.
        """
        self._checkpointer = Checkpointer(self.folder, model=model, fit=run, **self._options)
        self._checkpointer.open()
        self._saved_at = time.monotonic()

    def close(self) -> None:
        """Let other runs have the folder."""
        if self._checkpointer is not None:
            self.flush()
            self._checkpointer.close()
            self._checkpointer = None

    def newest(self) -> tuple[Path, Any] | None:
        """Return the newest checkpoint that is not damaged, and what fit saved in it; None where there is none."""
        return newest_state(self.folder, "fit")

    def build_optimizers(self, model: Any, path: Path) -> None:
        """Build the optimizers of a built model for the variables that a checkpoint has slots for."""
        build_as_saved(optimizers_of(model), model, _checkpoint_file.read(path))

    def restore(self, path: Path) -> None:
        """Restore a checkpoint."""
        assert self._checkpointer is not None
        self._checkpointer.restore(path)

    def is_due(self, steps: int, count: int) -> bool:
        """Say whether to save after a batch.

        Args:
            steps: the batches of the run so far.
            count: how many of them the last execution had.
        """
        if self.every_steps and steps // self.every_steps > (steps - count) // self.every_steps:
            return True
        return self.every_seconds is not None and time.monotonic() - self._saved_at >= self.every_seconds

    def is_due_at_epoch(self, epoch: int, logs: Mapping[str, Any]) -> bool:
        """Say whether to save after an epoch."""
        if self.every_epochs and (epoch + 1) % self.every_epochs == 0:
            return True
        return self._best_name is not None and self._best_name in logs

    def save(self, values: Mapping[str, Any] | None = None, waits: bool = False) -> None:
        """Copy all that a checkpoint holds, and write it while training goes on.

        Where a write fails, the next call warns, and training goes on: its weights are in memory only.

        Args:
            values: the logs of an epoch.
            waits: whether to return when it is written.
        """
        assert self._checkpointer is not None
        self._saved_at = time.monotonic()
        self.flush()
        self._writing = BackgroundCall(self._checkpointer.collect(self._numbers(values)))
        if waits:
            self.flush()

    def save_first(self) -> None:
        """Write a checkpoint before training begins.

        Raises:
            OutputError: the folder cannot be written to.
        """
        assert self._checkpointer is not None
        self._checkpointer.save()
        self._saved_at = time.monotonic()

    def flush(self) -> bool:
        """Wait until the last checkpoint is written; return whether it was, and warn where it was not."""
        writing, self._writing = self._writing, None
        try:
            if writing is not None:
                writing.wait()
        except OutputError as error:
            warnings.warn(
                f"no checkpoint was saved, and training goes on: {error}. The next one is tried as usual",
                stacklevel=2,
            )
            return False
        return True

    @property
    def _best_name(self) -> str | None:
        best = self._options["best"]
        return best if best is None or isinstance(best, str) else str(best[0])

    def _numbers(self, logs: Mapping[str, Any] | None) -> dict[str, float] | None:
        found = {name: float(v) for name, v in (logs or {}).items() if isinstance(v, numbers.Real)}
        return found if self._best_name is None or self._best_name in found else None

    # What follows is called by keras.Model.fit.

    def on_train_begin(self, logs: Any = None) -> None:
        if self._checkpointer is not None and self._keras_fit is None:
            return  # the fit of a uk.Model has opened it
        self.close()  # a fit that failed has left it open
        self._keras_fit = _KerasFit()
        self.open(self.model, self._keras_fit)
        self._signals.hold(_code_of_fit())

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if self._keras_fit is not None:
            self._keras_fit.epoch, self._keras_fit.batch = epoch, 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if (fit := self._keras_fit) is not None:
            count, fit.batch = batch + 1 - fit.batch, batch + 1
            fit.steps += count
            self._save_or_leave(self.is_due(fit.steps, count))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if (fit := self._keras_fit) is not None:
            fit.epoch, fit.batch = epoch + 1, 0
            self._save_or_leave(self.is_due_at_epoch(epoch, logs or {}), logs)

    def on_train_end(self, logs: Any = None) -> None:
        if self._keras_fit is not None:
            self.save(waits=True)
            self._keras_fit = None
            self.close()
            self._signals.release()

    def _save_or_leave(self, is_due: bool, logs: Any = None) -> None:
        if is_due or self._signals.pending is not None:
            # On JAX, Keras brings the weights of a running fit into the variables when it is asked for the model.
            _ = self.model
            self.save(logs, waits=self._signals.pending is not None)
        self._signals.deliver()


class _KerasFit:
    """Where the fit of a keras.Model stands; it cannot go on there, because Keras has no position in the data."""

    def __init__(self) -> None:
        self.epoch = self.batch = self.steps = 0

    @property
    def state(self) -> dict[str, Any]:
        return {"exact": False, "epoch": self.epoch, "batch": self.batch, "steps": self.steps}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take `state` back."""
        self.epoch, self.batch, self.steps = state["epoch"], state["batch"], state["steps"]


def _code_of_fit() -> CodeType | None:
    """Return the code of the fit that is on the stack: its end ends the wait of signals, however it ends."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_code.co_name != "fit":
        frame = frame.f_back
    return frame and frame.f_code


def _checked_count(name: str, value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise ArgumentError(f"{name} has to be an integer; received {value!r}")
    if value < 1:
        raise ArgumentValueError(f"{name} has to be at least 1; received {value}")
    return int(value)


def _checked_seconds(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ArgumentError(f"every_seconds has to be a number; received {value!r}")
    seconds = float(value)
    if not seconds >= 0:
        raise ArgumentValueError(f"every_seconds has to be 0 or more; received {value}")
    return seconds


def savers_in(callbacks: Any) -> list[FitSaver]:
    """Return the savers among fit's argument `callbacks`."""
    listed = callbacks.callbacks if isinstance(callbacks, CallbackList) else keras.tree.flatten(callbacks)
    return [one for one in listed if isinstance(one, FitSaver)]


def without_savers(callbacks: Any) -> Any:
    """Return fit's argument `callbacks` without savers, which are no listeners of the fit that knows them."""
    if callbacks is None or isinstance(callbacks, CallbackList):
        return callbacks
    return [one for one in keras.tree.flatten(callbacks) if not isinstance(one, FitSaver)]


def choose_saver(callbacks: Any, folder: Any) -> FitSaver | None:
    """Return what saves a fit.

    Args:
        callbacks: the argument of fit.
        folder: the argument `resume` of fit.

    Returns:
        The saver among the callbacks; one that saves each epoch where there is none, and a folder; else None.

    Raises:
        ArgumentValueError: there are several, or it saves in another folder.
    """
    found = savers_in(callbacks)
    if len(found) > 1:
        raise ArgumentValueError(f"fit takes one Checkpoint; received {len(found)}")
    if folder is None:
        return found[0] if found else None
    default = FitSaver(folder)
    if found and found[0].folder != default.folder:
        raise ArgumentValueError(
            f"resume={str(folder)!r} and Checkpoint({str(found[0].folder)!r}) are two folders; a run goes on in the "
            "folder that it saves in"
        )
    return found[0] if found else default
