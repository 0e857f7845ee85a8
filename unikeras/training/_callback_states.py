"""What callbacks carry from batch to batch, by class, as values that a checkpoint holds."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from unikeras.errors import ArgumentValueError

# Not `vars()`: a callback turns the sign of min_delta in every process, and holds functions.
_KEPT: dict[type, tuple[str, ...]] = {
    keras.callbacks.EarlyStopping: ("best", "best_weights", "best_epoch", "wait", "stopped_epoch"),
    keras.callbacks.ReduceLROnPlateau: ("best", "wait", "cooldown_counter"),
    keras.callbacks.ModelCheckpoint: (
        "best",
        "_batches_seen_since_last_saving",
        "_last_batch_seen",
        "_current_epoch",
    ),
    keras.callbacks.History: ("history", "epoch"),
    keras.callbacks.SwapEMAWeights: ("_ema_weights_in_model",),
}
# What these carry is derived from the arguments, or stands in files of theirs.
_WITHOUT_STATE = (
    keras.callbacks.LambdaCallback,
    keras.callbacks.LearningRateScheduler,
    keras.callbacks.TerminateOnNaN,
    keras.callbacks.CSVLogger,
    keras.callbacks.RemoteMonitor,
    keras.callbacks.TensorBoard,
)
# Keras sets these; a monitor's sign and operator are found anew from the arguments.
_OF_KERAS = {"params", "_model", "monitor_op", "min_delta"}


class CallbackStates:
    """The states of the callbacks of one fit.

    Args:
        callbacks: all but those that belong to checkpoints themselves.

    Raises:
        ArgumentValueError: a callback resumes by itself, as BackupAndRestore does.
    """

    def __init__(self, callbacks: Iterable[Any]) -> None:
        self._callbacks = [one for one in callbacks if not isinstance(one, keras.callbacks.ProgbarLogger)]
        if any(isinstance(one, keras.callbacks.BackupAndRestore) for one in self._callbacks):
            raise ArgumentValueError(
                "BackupAndRestore and checkpoints of unikeras both decide where training goes on; leave out "
                "BackupAndRestore, whose resume begins the epoch anew"
            )
        self._before: list[dict[str, Any]] = []
        self._named: set[int] = set()

    def keep_files(self) -> None:
        """Let files that callbacks write keep what they hold of the run; to be called before fit begins."""
        for one in self._callbacks:
            if isinstance(one, keras.callbacks.CSVLogger):
                one.append = True

    def watch(self) -> None:
        """Remember what attributes are now, so that callbacks are found whose attributes change."""
        self._before = [_attributes(one) for one in self._callbacks]

    @property
    def state(self) -> list[dict[str, Any]]:
        """The class and the state of each callback, in order."""
        return [{"class": type(one).__name__, "state": _state_of(one)} for one in self._callbacks]

    def restore(self, saved: list[dict[str, Any]]) -> None:
        """Give each callback its state back: the first of a class that of the first, and so on.

        Args:
            saved: what `state` was.
        """
        left = list(saved)
        anew = []
        for one in self._callbacks:
            found = next((item for item in left if item["class"] == type(one).__name__), None)
            if found is not None:
                left.remove(found)
                _restore(one, found["state"])
            elif _keeps(one):
                anew.append(type(one).__name__)
        lost = [item["class"] for item in left if item["state"]]
        if anew or lost:
            parts = (
                [f"{', '.join(anew)} begins anew, because the checkpoint has no state for it"] if anew else []
            )
            parts += (
                [f"the state of {', '.join(lost)} is not used, because fit has no such callback"]
                if lost
                else []
            )
            warnings.warn(
                f"the callbacks differ from those of the saved run: {'; '.join(parts)}", stacklevel=2
            )

    def warn_of_lost(self) -> None:
        """Name callbacks, once each, whose attributes change and who have no state."""
        for number, (one, before) in enumerate(zip(self._callbacks, self._before, strict=False)):
            if number in self._named or _has_state(one) or isinstance(one, _WITHOUT_STATE):
                continue
            now = _attributes(one)
            changed = [name for name in now if name not in before or not _is_same(before[name], now[name])]
            if changed:
                self._named.add(number)
                warnings.warn(
                    f"{type(one).__name__} has attributes that change while fit runs ({', '.join(changed)}), and no "
                    "state that a checkpoint can hold: after a resume they begin anew. Give it a property `state` "
                    "(numbers, text, lists, numpy arrays) and a method `restore(state)`",
                    stacklevel=2,
                )


def _has_state(callback: Any) -> bool:
    return hasattr(type(callback), "state") and callable(getattr(callback, "restore", None))


def _kept(callback: Any) -> tuple[str, ...]:
    return next((names for kind, names in _KEPT.items() if isinstance(callback, kind)), ())


def _keeps(callback: Any) -> bool:
    return _has_state(callback) or bool(_kept(callback))


def _state_of(callback: Any) -> Any:
    if _has_state(callback):
        return callback.state
    return {name: as_plain(getattr(callback, name)) for name in _kept(callback) if hasattr(callback, name)}


def _restore(callback: Any, state: Any) -> None:
    if _has_state(callback):
        callback.restore(state)
        return
    for name in _kept(callback):
        if name in state:
            setattr(callback, name, state[name])


def as_plain(value: Any) -> Any:
    """Return a value as a checkpoint holds it: numbers, text, lists, dictionaries and numpy arrays."""
    if isinstance(value, dict):
        return {str(name): as_plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [as_plain(inner) for inner in value]
    if value is None or isinstance(value, bool | int | float | str | np.ndarray):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if hasattr(value, "shape"):
        array = keras.ops.convert_to_numpy(value)
        return array.item() if array.ndim == 0 else array
    return str(value)


def _attributes(callback: Any) -> dict[str, Any]:
    names = set(vars(callback)) - _OF_KERAS - set(_kept(callback))
    return {name: _snapshot(vars(callback)[name]) for name in sorted(names)}


def _snapshot(value: Any) -> Any:
    # What is changed in place has to be told from what it was.
    return copy.copy(value) if isinstance(value, list | dict | set | np.ndarray) else value


def _is_same(before: Any, now: Any) -> bool:
    if before is now:
        return True
    if type(before) is not type(now) or not isinstance(
        now, bool | int | float | str | list | dict | set | np.ndarray
    ):
        return False
    try:
        return bool(np.array_equal(before, now)) if isinstance(now, np.ndarray) else bool(before == now)
    except Exception:  # of arrays inside
        return False
