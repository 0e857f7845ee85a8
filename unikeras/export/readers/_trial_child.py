"""The inside of a trial: one task, within limits, answered in lines of JSON."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import re
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from unikeras._base.text import plain
from unikeras.export.verify.bounds import Bounds

TrialRequest = dict[str, Any]
Answer = dict[str, Any]

# How runtimes say that memory was refused to them.
_OUT_OF_MEMORY = re.compile(
    r"bad_alloc|bad allocation|out of memory|can't allocate memory|cannot allocate|not enough memory"
    r"|failed to allocate|unable to allocate|RESOURCE_EXHAUSTED|OOM when",
    re.IGNORECASE,
)


class _Line:
    """The line to the owner."""

    def __init__(self, number: int) -> None:
        os.set_inheritable(number, False)
        self._number = number

    def say(self, answer: Answer) -> None:
        left = memoryview(json.dumps(answer).encode() + b"\n")
        while left:
            left = left[os.write(self._number, left) :]

    def hear(self) -> dict[str, Any]:
        line = sys.stdin.buffer.readline()
        if not line:
            raise SystemExit(1)  # nobody is there any more
        heard: dict[str, Any] = json.loads(line)
        return heard


def main(answers: int) -> None:
    """Do one task and end.

    Args:
        answers: the file descriptor to write lines to.
    """
    line = _Line(answers)
    request = line.hear()
    bounds = Bounds(**request["bounds"])
    prepare, look = _TASKS[request["task"]]
    try:
        prepare(request)
    except Exception as error:  # whatever an import raises
        line.say({})
        line.say({"failure": f"its runtime does not import: {plain(error)}"})
        return
    line.say({"ready": True})
    _limit(bounds, writes=request["task"] == "keras" or request.get("trust", False))
    line.say(_outcome(look, request, bounds, line))
    os._exit(0)  # whatever a file has left behind must not run on


def _outcome(
    look: Callable[[TrialRequest, Bounds, _Line], Answer], request: TrialRequest, bounds: Bounds, line: _Line
) -> Answer:
    from unikeras.export.readers._operators import Refused

    try:
        return look(request, bounds, line)
    except Refused as error:
        return {"failure": str(error), "kind": "unsafe"}
    except Exception as error:  # each parser has its own ways to say that it cannot read
        return {"failure": _reason(error, bounds)}


def _reason(error: BaseException, bounds: Bounds) -> str:
    if is_out_of_memory(error):
        from unikeras.export.verify.trial import needs_memory

        return needs_memory(bounds)
    return plain(error).partition("\n")[0][:1000] or type(error).__name__


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether a runtime failed because memory was refused to it.

    Example:
        >>> is_out_of_memory(MemoryError()), is_out_of_memory(ValueError("no such input"))
        (True, False)
    """
    return isinstance(error, MemoryError) or bool(_OUT_OF_MEMORY.search(str(error)[:10_000]))


def _limit(bounds: Bounds, writes: bool) -> None:
    """Have the system hold this process to its bounds, from what it uses now on.

    Data, not address space: a runtime reserves addresses by the gigabyte and fills few of them. The owner's watch
    over resident memory comes first; this stops what grows faster than it looks. It is wide, because TensorFlow
    tries again for ten seconds where memory is refused to it.
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    processors = os.cpu_count() or 1
    seconds = int(used.ru_utime + used.ru_stime + bounds.seconds * processors) + 1
    _lower(resource.RLIMIT_CPU, seconds)
    _lower(resource.RLIMIT_CORE, 0)
    with contextlib.suppress(OSError, StopIteration):
        status = Path("/proc/self/status").read_text().splitlines()
        data = next(int(row.split()[1]) for row in status if row.startswith("VmData:"))
        _lower(resource.RLIMIT_DATA, data * 1024 + 2 * bounds.memory + 2**31)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # an error is enough
    # Keras unpacks vocabularies; runtimes only try whether the temporary folder can be written to.
    _lower(resource.RLIMIT_FSIZE, bounds.bytes if writes else 2**20)
    # An owner that was killed watches no more; this ends a loop in native code, too.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, bounds.seconds * 2 + 10)


def _lower(kind: int, value: int) -> None:
    with contextlib.suppress(ValueError, OSError):
        hard = resource.getrlimit(kind)[1]
        least = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (least, least))


def _prepare_artifact(request: TrialRequest) -> None:
    from unikeras.export.readers.reader_table import READERS

    READERS[request["format"]].prepare()


def _look_at_artifact(request: TrialRequest, bounds: Bounds, line: _Line) -> Answer:
    """Check an artifact's operators, open it and run it once on made-up inputs."""
    from unikeras._keras.samples import example
    from unikeras.export.readers.reader_table import READERS

    runtime, path = READERS[request["format"]], Path(request["path"])
    if beside := runtime.look(path, request["trust"]):
        line.say({"beside": beside})
        line.hear()
    artifact = runtime(path)
    try:
        artifact.run(example(artifact.signature))
    except Exception as error:  # made-up inputs may be none that it takes; a crash is what counts
        if is_out_of_memory(error):
            raise
    return {}


def _look_at_header(request: TrialRequest, bounds: Bounds, line: _Line) -> Answer:
    from unikeras.export.readers._headers import header_of

    header = header_of(request["format"], Path(request["path"]), bounds)
    return {"metadata": header.metadata, "touches": header.touches}


def _prepare_keras(request: TrialRequest) -> None:
    keras = importlib.import_module("keras")
    keras.ops.convert_to_tensor([0.0])  # what a backend sets up on first use


def _look_at_keras(request: TrialRequest, bounds: Bounds, line: _Line) -> Answer:
    from unikeras.export.readers._keras_file import build, check_archive

    path = Path(request["path"])
    check_archive(path, bounds)
    try:
        build(path)
    except Exception as error:  # whatever a parser, or a class of the user's, raises
        if is_out_of_memory(error):
            raise
        return {"wrong": plain(error)[:10_000]}
    return {}


_TASKS: dict[str, tuple[Callable[[TrialRequest], None], Callable[[TrialRequest, Bounds, _Line], Answer]]] = {
    "artifact": (_prepare_artifact, _look_at_artifact),
    "header": (lambda request: None, _look_at_header),
    "keras": (_prepare_keras, _look_at_keras),
}
