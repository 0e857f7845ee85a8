"""Clocks of the benchmarks: rounds in turn, ratios, and what the machine was doing."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import Any

Run = Callable[[], Any]
PACKAGES = ("unikeras", "keras", "numpy", "torch", "tensorflow", "tensorflow-cpu", "jax")


def clocked(run: Run) -> tuple[float, float]:
    """Run a function; return its wall seconds, and the CPU seconds of this process with all its threads."""
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - wall, time.process_time() - cpu


def seconds(run: Run) -> float:
    return clocked(run)[0]


def measured(runs: Sequence[Run], rounds: int = 30, clock: Callable[[Run], Any] = seconds) -> Any:
    """Time functions in turn; return the seconds of the first run of each, and of all later ones.

    Each round begins with another function: what ran before one leaves caches and threads as it likes them.
    """
    first = [clock(run) for run in runs]
    return first, turns(runs, rounds, clock)


def turns(runs: Sequence[Run], rounds: int, clock: Callable[[Run], Any] = seconds) -> list[list[Any]]:
    """Time functions in turn, each round beginning with another; return the times of each."""
    later: list[list[Any]] = [[] for _ in runs]
    for i in range(rounds):
        for j in range(len(runs)):
            turn = (i + j) % len(runs)
            later[turn].append(clock(runs[turn]))
    return later


def ratio(times: Sequence[float], others: Sequence[float]) -> str:
    """Return the ratio of the medians, and in parentheses the median of the rounds' ratios."""
    of_medians = statistics.median(times) / statistics.median(others)
    median = statistics.median(a / b for a, b in zip(times, others, strict=True))
    return f"{of_medians:.3f} ({median:.3f})"


def machine(threads: int | None) -> dict[str, Any]:
    """Return what a number depends on: versions, processors, threads, load."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "threads": threads or "the framework's default",
        "load": [round(load, 2) for load in os.getloadavg()],
        "versions": _versions(),
    }


def environment(threads: int | None) -> Mapping[str, str]:
    """Return the environment variables that hold each framework to a number of threads."""
    if threads is None:
        return {}
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    flags = os.environ.get("XLA_FLAGS", "")
    single = " --xla_cpu_multi_thread_eigen=false" if threads == 1 else ""
    return {**dict.fromkeys(names, str(threads)), "XLA_FLAGS": (flags + single).strip()}


def hold_to(threads: int | None) -> None:
    """Hold this process to as many processors, for frameworks that count processors and read no variable."""
    allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else []
    if threads is not None and threads < len(allowed):
        start = os.getpid() % len(allowed)
        os.sched_setaffinity(0, {allowed[(start + i) % len(allowed)] for i in range(threads)})


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
