"""`profile`: a record of what a loop of one's own runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from unikeras._base.rank import rank
from unikeras.errors import OutputError


class Profile:
    """A profiler that is running; `step` marks the steps in its record."""

    def __init__(self, is_recording: bool) -> None:
        self._is_recording = is_recording

    def step(self, number: int, name: str = "train") -> AbstractContextManager[Any]:
        """Mark a step.

        Args:
            number: of the step.
            name: what the record shows.

        Returns:
            A context manager around the step.
        """
        from unikeras import backends

        if not self._is_recording:
            return contextlib.nullcontext()
        return backends.current().profiled_step(name, number)


@contextlib.contextmanager
def profile(log_dir: Any) -> Iterator[Profile]:
    """Record what runs inside the block by the profiler of the backend.

    On JAX, XLA's profiler writes for TensorBoard's profile plugin and for Perfetto (https://ui.perfetto.dev); on
    TensorFlow, its profiler writes for the plugin; on PyTorch, torch.profiler writes for Perfetto. The first calls of a
    step compile it: record later ones. Only the process of rank 0 records.

    Args:
        log_dir: a folder, as for TensorBoard; the record goes to `plugins/profile/` in it.

    Yields:
        A `Profile` whose `step` marks the steps.

    Raises:
        OutputError: the folder cannot be made.

    Source: torch.profiler.profile, jax.profiler.trace, tf.profiler.experimental.Profile.

    Example:
        >>> import keras, pathlib
        >>> with profile("logs") as running:
        ...     for number in range(3):
        ...         with running.step(number):
        ...             _ = keras.ops.ones((4, 4)) @ keras.ops.ones((4, 4))
        >>> any(pathlib.Path("logs/plugins/profile").rglob("*.*"))
        True
    """
    from unikeras import backends

    folder = Path(log_dir)
    if rank() != 0:
        yield Profile(is_recording=False)
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write a profile to {folder}: {error.strerror or error}") from error
    with backends.current().profile(folder):
        yield Profile(is_recording=True)
