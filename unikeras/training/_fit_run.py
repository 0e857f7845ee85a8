"""One call of fit: where it stands, and how that is saved and restored."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from unikeras import backends
from unikeras._base.exit_signals import ExitSignals
from unikeras._keras.trainer_parts import CallbackList, pythonify_logs
from unikeras.errors import ArgumentValueError, StateError
from unikeras.functions import is_debugging
from unikeras.random import is_portable
from unikeras.training._batch_kinds import BatchKinds
from unikeras.training._callback_states import CallbackStates, as_plain
from unikeras.training._fit_saver import FitSaver
from unikeras.training._positioned_batches import PositionedBatches
from unikeras.training._run_settings import differences

VERSION = 1
_NAMED = 5  # differences in one error


class FitRun:
    """A fit that is saved nowhere.

    Attributes:
        is_saved: whether each batch has to be reported.
        is_stopped: whether the run was stopped before its checkpoint was saved.
        is_validating: whether the model has been trained in this epoch, and is being validated.
        logs: of the last batch; of an epoch's training while it is validated; of an epoch after its end.
    """

    is_saved = False
    is_stopped = False
    is_validating = False
    logs: Any = None

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Hold what the run needs while it goes on."""
        yield

    def epochs(self, initial: int, end: int) -> Iterable[int]:
        """Return the epochs to run.

        Args:
            initial: the first, for a run that begins.
            end: the one after the last.
        """
        return range(initial, end)

    def begin_epoch(self) -> Any:
        """Say that an epoch has begun, for the model and all callbacks; return the logs so far."""
        return {}

    def end_batch(self, begin: int, data: Sequence[Any], logs: Any) -> None:
        """Say that an execution of the train step has ended, for all callbacks too.

        Args:
            begin: its first batch in the epoch.
            data: its batches.
            logs: what it returned.
        """

    def end_training(self, logs: dict[str, Any]) -> None:
        """Say that the epoch's batches have ended, and a validation begins."""

    def begin_validation(self) -> tuple[int, Any]:
        """Say that a validation has begun, for the model and all callbacks.

        Returns:
            How many batches of it were evaluated already, and the logs of the last.
        """
        return 0, {}

    def end_validation_batch(self, data: Sequence[Any], logs: Any) -> None:
        """Say that these batches have been evaluated."""

    def end_epoch(self, epoch: int, logs: dict[str, Any]) -> None:
        """Say that an epoch has ended, for all callbacks too."""

    def finish(self) -> None:
        """Say that the last epoch has ended."""


class SavedFitRun(FitRun):
    """A fit that goes on where a checkpoint was saved, and saves checkpoints.

    There is one restore point. At an epoch's beginning it is before the metrics are reset and callbacks hear of the
    epoch, so that what these change is changed once; within an epoch, or a validation, it is after both.

    Args:
        model: what is trained.
        saver: when and where checkpoints are saved.
        batches: of the training data.
        callbacks: all but the saver.
        settings: what the run was begun with, as JSON.
        resumes: whether to go on where the newest checkpoint was saved.
    """

    is_saved = True

    def __init__(
        self,
        model: Any,
        saver: FitSaver,
        batches: PositionedBatches,
        callbacks: CallbackList,
        settings: dict[str, Any],
        resumes: bool,
    ) -> None:
        self._model, self._saver, self._batches = model, saver, batches
        self._states = CallbackStates(callbacks.callbacks)
        self._settings, self._resumes = settings, resumes
        self._signals = ExitSignals()
        self._found: tuple[Path, dict[str, Any]] | None = None  # until it is restored
        self._saved_epoch: int | None = None  # at whose beginning the newest checkpoint was saved
        self._epoch = self._batch = self._steps = self._evaluated = self._end = 0
        self._has_trained = False
        self._kinds = {"train": BatchKinds(), "test": BatchKinds()}
        self.logs = {}
        self._validation_logs: Any = {}

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        self._saver.open(self._model, self)
        try:
            self._find()
            self._signals.hold()
            yield
        finally:
            self._saver.close()
            self._signals.release()

    def _find(self) -> None:
        """Find the checkpoint to go on from, and compare it with this run."""
        found = self._saver.newest()
        if found is None:
            return
        if not self._resumes:
            folder = self._saver.folder
            raise ArgumentValueError(
                f"{folder} holds checkpoints of another run; go on with it by fit(..., resume={str(folder)!r}), or "
                "give each run a folder of its own"
            )
        self._check(*found)
        self._states.keep_files()
        self._found = found

    def _check(self, path: Path, saved: Any) -> None:
        """Compare a saved run with this one.

        Raises:
            StateError: the checkpoint was not saved by the fit of a uk.Model, or by one of another version.
            ArgumentValueError: model, optimizer, loss, data or batch size differ.
        """
        if not isinstance(saved, dict) or not saved.get("exact"):
            raise StateError(
                f"{path} was not saved by the fit of a uk.Model and does not say where to go on; give the model its "
                f"weights by uk.training.Checkpointer({str(path.parent)!r}, model=model).restore()"
            )
        if saved.get("version") != VERSION:
            raise StateError(f"{path} has version {saved.get('version')!r} of fit's state; this is {VERSION}")
        if found := list(differences(saved["settings"], self._settings)):
            more = f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
            raise ArgumentValueError(
                f"the run in {path.parent} cannot go on, because this one differs: {'; '.join(found[:_NAMED])}{more}. "
                "Make it as it was, or begin a run in another folder"
            )
        if saved["backend"] != backends.current_name() and not (saved["portable"] and is_portable()):
            _warn_of_other_backend(saved["backend"])

    def epochs(self, initial: int, end: int) -> Iterable[int]:
        self._end = end
        self._states.watch()
        if self._found is None:
            self._epoch = initial
            if self._model.built:
                # A folder that cannot be written to is an error now; and a kill before the next save loses no draw.
                self._saver.save_first()
                self._saved_epoch = initial
            return range(initial, end)
        if self._model.built:  # else its first step builds it, with its optimizers
            self._saver.build_optimizers(self._model, self._found[0])
        self._compile_as_before(self._found[1]["kinds"])
        first = int(self._found[1]["epoch"])
        if self._found[1]["batch"] == 0 or first >= end:  # between two epochs, or nothing is left to do
            self._restore()
        return () if self.is_stopped else range(first, end)

    def _compile_as_before(self, kinds: dict[str, Any]) -> None:
        """Let the steps have the programs that they had; all that this changes is restored afterwards."""
        model, backend = self._model, backends.current()
        if not backend.dynamic_axes or model.run_eagerly or is_debugging():
            return
        example = self._batches.example()
        for name, saved in kinds.items():
            self._kinds[name].restore(saved)
        backend.set_training(model, True)
        self._kinds["train"].replay(model._execute, example)
        backend.set_training(model, False)
        model.make_test_function()
        self._kinds["test"].replay(lambda data: model.test_function(data), example)

    def begin_epoch(self) -> Any:
        self._has_trained = True
        if self._found is None:
            self._batch = 0
            return {}
        saved = self._found[1]
        if saved["validation"] is not None:  # the restore point is in the validation
            self.is_validating = True
            return saved["logs"]
        self._restore()
        return self.logs

    def end_batch(self, begin: int, data: Sequence[Any], logs: Any) -> None:
        self._kinds["train"].add(data)
        count = len(data)
        self._batch, self._steps, self.logs = begin + count, self._steps + count, logs
        self._save_or_leave(self._saver.is_due(self._steps, count))

    def end_training(self, logs: dict[str, Any]) -> None:
        self.is_validating = True
        self.logs, self._evaluated, self._validation_logs = logs, 0, {}

    def begin_validation(self) -> tuple[int, Any]:
        if self._found is not None:
            self._restore()
        return self._evaluated, self._validation_logs

    def end_validation_batch(self, data: Sequence[Any], logs: Any) -> None:
        self._kinds["test"].add(data)
        self._evaluated, self._validation_logs = self._evaluated + len(data), logs
        self._save_or_leave(False)

    def end_epoch(self, epoch: int, logs: dict[str, Any]) -> None:
        self.is_validating = False
        self._epoch, self._batch, self.logs = epoch + 1, 0, logs
        self._save_or_leave(self._saver.is_due_at_epoch(epoch, logs), logs)

    def finish(self) -> None:
        if self._has_trained and not (self._saver.flush() and self._saved_epoch == self._epoch):
            self._save(waits=True)

    def _save_or_leave(self, is_due: bool, values: dict[str, Any] | None = None) -> None:
        leaves = self._signals.pending is not None
        if is_due or leaves:
            self._save(values, waits=leaves)
            self._signals.deliver()

    def _save(self, values: dict[str, Any] | None = None, waits: bool = False) -> None:
        self._states.warn_of_lost()
        self._saver.save(values, waits)
        self._saved_epoch = self._epoch if self._batch == 0 else None

    def _restore(self) -> None:
        assert self._found is not None
        self._saver.restore(self._found[0])
        self._found = None
        self._states.watch()

    @property
    def state(self) -> dict[str, Any]:
        """Where the run stands; what a checkpoint holds beside the model, its optimizer and the generators."""
        return {
            "version": VERSION,
            "exact": True,
            "backend": backends.current_name(),
            "portable": is_portable(),
            "settings": self._settings,
            "epoch": self._epoch,
            "batch": self._batch,
            "steps": self._steps,
            "validation": self._evaluated if self.is_validating else None,
            "logs": as_plain(pythonify_logs(self.logs)),
            "validation_logs": as_plain(pythonify_logs(self._validation_logs)),
            "epochs": self._end,
            "stop_training": bool(self._model.stop_training),
            "metrics": len(self._model.metrics_variables),
            "data": self._batches.state,
            "kinds": {name: kinds.state for name, kinds in self._kinds.items()},
            "callbacks": self._states.state,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take `state` back: called by the checkpointer, with all else that it restores.

        Raises:
            StateError: the model's metrics are made by its first step only, so that they cannot be restored.
        """
        if state["batch"] and state["metrics"] != len(self._model.metrics_variables):
            raise StateError(
                f"model {self._model.name!r} has not built its metrics yet, which the checkpoint holds in the middle "
                "of an epoch; call model.evaluate on a batch before fit"
            )
        self._epoch, self._batch, self._steps = state["epoch"], state["batch"], state["steps"]
        self.is_validating, self._evaluated = state["validation"] is not None, state["validation"] or 0
        self.logs, self._validation_logs = state["logs"], state["validation_logs"]
        self.is_stopped = self._model.stop_training = state["stop_training"]
        self._batches.restore(state["data"], self._batch)
        for name, kinds in self._kinds.items():
            kinds.restore(state["kinds"][name])
        self._states.restore(state["callbacks"])
        self._saved_epoch = self._epoch if self._batch == 0 else None


def _warn_of_other_backend(saved: str) -> None:
    warnings.warn(
        f"the run was saved under {saved} and goes on under {backends.current_name()}: weights, optimizer and the "
        "order of the data are the same, random draws (dropout, augmentation) are not. Both runs have to be inside "
        "uk.random.portable(seed) to draw alike",
        stacklevel=2,
    )
