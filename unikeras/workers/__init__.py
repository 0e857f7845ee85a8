"""Work in a process of its own: any function under any backend, or under none.

Keras binds one backend to a process. `run_on` starts a fresh interpreter for another one and keeps it
warm for the next call; models, arrays and functions travel both ways, errors travel back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from unikeras import backends
from unikeras.workers._own_worker import OwnWorker
from unikeras.workers._warm_workers import call, shutdown

__all__ = ["OwnWorker", "call", "run_on", "shutdown"]

Result = TypeVar("Result")


def run_on(
    backend: str, f: Callable[..., Result], /, *args: Any, timeout: float | None = None, **kwargs: Any
) -> Result:
    """Run a function in another process, under another backend.

    The process is an interpreter of its own that never runs the caller's script again, so no
    `if __name__ == "__main__"` is needed. It stays warm: later calls for the same backend find their
    imports done. It ends with this process, however that ends, and with it ends what it started (on Linux also in
    sessions of their own). It keeps the environment variables of the moment it started;
    `unikeras.workers.shutdown()` makes the next call start anew. A fork of the worker that returns from `f` just exits.

    Functions and classes of a script, a notebook or the prompt travel by value, those of an
    importable module by name. Tensors of any framework and Keras variables arrive as numpy arrays,
    at any depth; Keras models, with their optimizer's state, arrive as models of the other side's
    backend. Native modules, such as a `torch.nn.Module`, do not travel.

    Args:
        backend: `"tensorflow"`, `"torch"` or `"jax"`.
        f: the function; what it prints appears here.
        *args: its positional arguments.
        timeout: seconds for the whole call: the wait for other calls, the start of the process, sending, running and
            receiving; None for no limit.
        **kwargs: its keyword arguments.

    Returns:
        What `f` returns.

    Raises:
        UnknownBackend: no backend has this name.
        BackendUnavailable: the backend's framework is not installed.
        ArgumentError: an argument cannot travel, or `f` or `timeout` is not what it has to be.
        WorkerError: what came back is no answer of a worker.
        RemoteError: `f` raised, or its result cannot travel. The error is an instance of the original
            class too, and its message ends in the traceback from there.
        WorkerDied: the process ended before `f` did.
        WorkerTimeout: the time is over; the process was stopped.

    Example:
        >>> import unikeras as uk
        >>> def backend_and_sum(x):
        ...     import keras
        ...     return keras.backend.backend(), keras.ops.sum(x)
        >>> name = uk.backends.available()[-1]
        >>> ran_on, total = uk.run_on(name, backend_and_sum, [1.0, 2.0])
        >>> ran_on == name, total
        (True, array(3., dtype=float32))
    """
    return call(backends.check(backend), f, args, kwargs, timeout)
