"""What a child of `largest_batch` runs: one train step, watched."""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from unikeras import backends
from unikeras.errors import ArgumentError

_PROCESS, _GROUP = Path("/proc/self"), Path("/sys/fs/cgroup")
_LOOK = 0.005  # seconds
_LACKS_MEMORY = re.compile(
    r"out of memory|resource_?exhausted|can't allocate memory|cannot allocate memory|bad_alloc|"
    r"failed to allocate|OOM when allocating",
    re.IGNORECASE,
)


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error, of whatever framework, is about memory."""
    return isinstance(error, MemoryError) or _LACKS_MEMORY.search(str(error)) is not None


@dataclass
class _Job:
    model: Any
    data: Any
    limit: int | None
    device: str | None


_jobs: list[_Job] = []


def prepare(model: Any, data: Any, limit_bytes: int | None, policy: str | None, device: str | None) -> None:
    """Take the model and the examples; trials follow.

    Raises:
        ArgumentError: a function returned no compiled model, or a policy does not fit the variables.
    """
    with contextlib.suppress(OSError):  # where memory runs out, this process ends and not its owner
        (_PROCESS / "oom_score_adj").write_text("1000")
    if not isinstance(model, keras.Model):
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(policy or before)
        model = model()
        if not isinstance(model, keras.Model) or not model.compiled:
            raise ArgumentError("the function for largest_batch must return a compiled keras.Model")
    elif policy is not None:
        _set_policy(model, policy)
    _jobs[:] = [_Job(model, data, limit_bytes, device)]


def _set_policy(model: Any, policy: str) -> None:
    variables = {variable.dtype for variable in model.weights if "float" in variable.dtype}
    if variables - {"float32"}:
        raise ArgumentError(
            f"policy {policy!r} is for variables of float32; the model has {sorted(variables)}"
        )
    for layer in model._flatten_layers():
        layer.dtype_policy = policy


def fits(size: int) -> bool:
    """Train on a batch of a size, twice: the optimizer has its slots the second time.

    Args:
        size: not smaller than in the trial before: what counts is the peak since the process began.

    Returns:
        Whether the memory at the peak was below the limit. The process ends where it is far above.
    """
    job = _jobs[0]
    backend = backends.current()
    place = backends.device(job.device) if job.device else contextlib.nullcontext()
    batch = keras.tree.map_structure(
        lambda array: None if array is None else np.take(array, np.arange(size) % len(array), axis=0),
        job.data,
        none_is_leaf=True,
    )
    with place:
        peak = backend.peak_memory(str(backend.device_of(keras.ops.zeros(()))))
        limit = _resident_bytes() + _free_bytes() if job.limit is None or peak is not None else job.limit
        with _watched(limit) as host_peak:
            for _ in range(2):
                job.model.train_on_batch(*batch)
        peak = backend.peak_memory(str(backend.device_of(keras.ops.zeros(()))))
    if peak is not None:
        return job.limit is None or peak <= job.limit
    return bool(host_peak() <= limit)


@contextlib.contextmanager
def _watched(limit: int) -> Iterator[Any]:
    """End the process where it has a half more than the limit, or all that is free; yield a function for the peak."""
    end = min(limit * 3 // 2, _resident_bytes() + _free_bytes())
    peaks, done = [_resident_bytes()], threading.Event()

    def watch() -> None:
        while not done.wait(_LOOK):
            peaks[0] = max(peaks[0], _resident_bytes())
            if peaks[0] > end:
                os._exit(1)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield lambda: max(peaks[0], _status("VmHWM"))
    finally:
        done.set()
        watcher.join()


def _resident_bytes() -> int:
    return _status("VmRSS")


def _free_bytes() -> int:
    with contextlib.suppress(OSError):
        found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
        if found:
            return min(int(found[1]) * 1024, _left_in_group())
    return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")) // 2


def _left_in_group() -> int:
    """Return how much a container leaves, where it has a limit."""
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        with contextlib.suppress(OSError, ValueError):  # "max" is no number
            return int((_GROUP / limit).read_text()) - int((_GROUP / used).read_text())
    return 1 << 62


def _status(name: str) -> int:
    """Return a number of bytes of this process."""
    with contextlib.suppress(OSError):
        found = re.search(rf"{name}:\s+(\d+) kB", (_PROCESS / "status").read_text())
        if found:
            return int(found[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS: bytes, and the peak since the start
