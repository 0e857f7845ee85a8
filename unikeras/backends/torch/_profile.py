"""Profiles on PyTorch: its own trace, for Perfetto and for PyTorch's plugin of TensorBoard."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch


@contextlib.contextmanager
def profile(folder: Path) -> Iterator[None]:
    activities = [torch.profiler.ProfilerActivity.CPU]
    if torch.cuda.is_available():
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    place = folder / "plugins" / "profile" / time.strftime("%Y_%m_%d_%H_%M_%S")
    place.mkdir(parents=True, exist_ok=True)
    profiler = torch.profiler.profile(activities=activities)
    profiler.start()
    try:
        yield
    finally:
        profiler.stop()
        profiler.export_chrome_trace(str(place / f"{socket.gethostname()}.{time.time_ns()}.pt.trace.json"))


def step(name: str, number: int) -> AbstractContextManager[Any]:
    mark: AbstractContextManager[Any] = torch.profiler.record_function(f"{name}#{number}")
    return mark
