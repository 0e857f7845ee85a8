"""The largest batch that fits into memory, found by trying in a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from unikeras import backends
from unikeras.errors import (
    ArgumentError,
    ArgumentValueError,
    OutOfMemory,
    RemoteError,
    WorkerDied,
    WorkerTimeout,
)
from unikeras.training import _memory_trial
from unikeras.training._best_weights import count
from unikeras.workers import OwnWorker

_POLICIES = ("float32", "mixed_float16", "mixed_bfloat16")


def largest_batch(
    model: Any,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    limit_bytes: int | None = None,
    maximum: int = 4096,
    policy: str | None = None,
    timeout: float = 300.0,
) -> int:
    """Find by trying how many examples fit into a train step.

    A child process trains a copy of the model, on batches that are doubled until one does not fit; then the largest is
    found between the last two, to within a sixteenth of it. The model of the caller, and its process, stay as they are.
    On a CPU the memory is that of the child's process, the framework included; on an accelerator it is what the
    framework allocates there.

    Args:
        model: a compiled `keras.Model` that can be saved, or a function without arguments that returns a compiled one;
            it runs in the child.
        x: examples as `fit` takes them, at least one, each of shape (examples, ...); they are repeated to fill a batch.
        y: their targets.
        sample_weight: their weights.
        limit_bytes: how much memory may be used; None for what is free now.
        maximum: the largest batch to try.
        policy: `"mixed_float16"`, `"mixed_bfloat16"` or `"float32"` for the layers of the copy; None for their own.
        timeout: seconds for one trial, which compiles a train step.

    Returns:
        The number of examples; it was tried. `maximum` where that fits.

    Raises:
        ArgumentError: the model is not compiled, or cannot be sent to the child.
        ArgumentValueError: there are no examples, they differ in number, or a number or the policy is out of range.
        OutOfMemory: one example does not fit.
        RemoteError: the step raised an error that has nothing to do with memory.
        WorkerTimeout: a trial took longer than `timeout`.

    Example:
        >>> import keras, numpy as np, unikeras as uk
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> uk.training.largest_batch(model, np.ones((1, 2)), np.ones((1, 1)), maximum=2)
        2
    """
    maximum = count("maximum", maximum, least=1)
    if limit_bytes is not None:
        limit_bytes = count("limit_bytes", limit_bytes, least=1)
    if policy is not None and policy not in _POLICIES:
        raise ArgumentValueError(
            f"policy must be one of {', '.join(_POLICIES)}, or None; received {policy!r}"
        )
    data = _examples((x, y, sample_weight))
    job = (_checked(model), data, limit_bytes, policy, _device_of(model))
    with OwnWorker(backends.current().name) as worker:
        return _search(_Trials(worker, job, timeout), maximum, limit_bytes)


class _Trials:
    """Trials in a child; one that died in a trial is replaced for the next."""

    def __init__(self, worker: OwnWorker, job: tuple[Any, ...], timeout: float) -> None:
        self._worker = worker
        self._job = job
        self._timeout = timeout
        self._is_ready = False

    def fits(self, size: int) -> bool:
        """Say whether a train step on a batch of this size fits."""
        try:
            if not self._is_ready:
                self._worker.call(_memory_trial.prepare, *self._job, timeout=self._timeout)
                self._is_ready = True
            fits = bool(self._worker.call(_memory_trial.fits, size, timeout=self._timeout))
        except WorkerTimeout as error:
            raise WorkerTimeout(
                f"a train step on a batch of {size} did not finish within {self._timeout} seconds in the child; pass a "
                "larger timeout, or a smaller maximum"
            ) from error
        except WorkerDied:
            fits = False
        except RemoteError as error:
            if not _memory_trial.is_out_of_memory(error):
                raise
            fits = False
        except ArgumentError as error:
            raise ArgumentError(f"{error} Or pass a function that makes the model in the child.") from error
        if not fits:
            self._worker.stop()  # what a trial that failed leaves behind is not the next one's
            self._is_ready = False
        return fits


def _search(trials: _Trials, maximum: int, limit: int | None) -> int:
    if not trials.fits(1):
        allowed = "what is free" if limit is None else f"{limit:,} bytes"
        raise OutOfMemory(
            f"a train step on one example does not fit into {allowed}, the framework included; allow more by "
            "limit_bytes, make the model or its inputs smaller, or pass policy='mixed_bfloat16'"
        )
    good, bad = 1, maximum + 1
    while good < maximum and bad > maximum:
        size = min(2 * good, maximum)
        good, bad = (size, bad) if trials.fits(size) else (good, size)
    while bad - good > max(1, good // 16):
        size = (good + bad) // 2
        good, bad = (size, bad) if trials.fits(size) else (good, size)
    return good


def _examples(data: Any) -> Any:
    """Return examples as numpy arrays.

    Raises:
        ArgumentValueError: there are none, or they differ in number.
    """
    arrays = keras.tree.map_structure(
        lambda leaf: None if leaf is None else np.asarray(keras.ops.convert_to_numpy(leaf)),
        data,
        none_is_leaf=True,
    )
    numbers = {array.shape[:1] for array in keras.tree.flatten(arrays) if array is not None}
    if len(numbers) != 1 or numbers & {(), (0,)} or data[0] is None:
        raise ArgumentValueError(
            "x, y and sample_weight must be arrays, or nested structures of arrays, with the same number of examples, "
            f"at least one; received the first axes {sorted(numbers)}"
        )
    return arrays


def _checked(model: Any) -> keras.Model | Callable[[], keras.Model]:
    if not isinstance(model, keras.Model):
        if callable(model):
            return model
        raise ArgumentError(
            f"model must be a keras.Model, or a function that returns one; received {type(model).__qualname__}"
        )
    if not model.compiled:
        raise ArgumentError(
            f"model {model.name!r} is not compiled; a train step needs an optimizer and a loss"
        )
    fixed = {tensor.shape[0] for tensor in getattr(model, "inputs", None) or ()} - {None}
    if fixed:
        raise ArgumentValueError(
            f"model {model.name!r} takes batches of {', '.join(map(str, sorted(fixed)))} and of no other size; pass a "
            "function that makes it with batch_size=None"
        )
    return model


def _device_of(model: Any) -> str | None:
    """Return the device on which the weights are, where that is another one than a child would choose."""
    if not isinstance(model, keras.Model):
        return None
    with backends.beside(model.weights) as device:
        return device
