"""A file tried in a child of its own, within bounds: what crashes, hangs or swells there does so alone.

The child answers in lines of JSON, because whoever made the file may have taken it over. The bounds of time and
memory are the system's own where it has them, and are watched from here as well: macOS does not enforce the one
of memory.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from unikeras._base.printable import printable
from unikeras.errors import CorruptArtifact, UnsafeArtifact
from unikeras.export.verify.bounds import PREFIX, START_SECONDS, Bounds

# As a worker's: the search path is ours, not that of the folder where we stand.
_BOOT = """\
import sys
answers, *sys.path[:] = sys.argv[1:]
del sys.argv[1:]
from unikeras.export.readers._trial_child import main
main(int(answers))
"""

# How often, in seconds, memory is looked at.
_LOOK = 0.05
_LONGEST_ANSWER = 2**22

# A check runs on the CPU: a device would be shared with the caller, and reserves memory by itself.
_ENVIRONMENT = {
    "CUDA_VISIBLE_DEVICES": "",
    "JAX_PLATFORMS": "cpu",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "PYTHONDONTWRITEBYTECODE": "1",
}

TRUST = "pass trust=True (--trust on the command line) if you know who made it"


def run_trial(
    request: Mapping[str, Any],
    what: str,
    bounds: Bounds,
    backend: str | None = None,
    add: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Run a task of `_trial_child` and return its answer.

    Args:
        request: what to do, as data for JSON.
        what: how errors begin, such as "m.onnx is not a readable onnx artifact".
        bounds: of time and memory.
        backend: what KERAS_BACKEND says in the child.
        add: copies a file that the artifact names to where the child finds it.

    Raises:
        CorruptArtifact: the file is not readable, or crashes, hangs or swells.
        UnsafeArtifact: it holds what only a trusted file may.
    """
    limits = {"seconds": bounds.seconds, "memory": bounds.memory, "bytes": bounds.bytes, "text": bounds.text}
    with _child(backend, Path(request["path"]).parent) as child:
        child.send({**request, "bounds": limits})
        child.wait_for(what, START_SECONDS, None)
        before, end = child.memory(), time.monotonic() + bounds.seconds
        while True:
            answer = child.wait_for(what, end - time.monotonic(), before + bounds.memory, bounds)
            if "beside" not in answer:
                return _checked(answer, what)
            names = answer["beside"]
            for name in names if isinstance(names, list) else []:
                if add is not None:
                    add(str(name))
            child.send({})


def _checked(answer: dict[str, Any], what: str) -> dict[str, Any]:
    failure = answer.get("failure")
    if failure is not None:
        text = f"{what}: {printable(str(failure))}"
        if answer.get("kind") == "unsafe":
            raise UnsafeArtifact(f"{text}; {TRUST}")
        raise CorruptArtifact(text)
    return answer


class _Child:
    def __init__(self, backend: str | None, folder: Path) -> None:
        environment = {**os.environ, **_ENVIRONMENT, "TMPDIR": str(folder)}
        environment.pop("KERAS_BACKEND", None)
        if backend is not None:
            environment["KERAS_BACKEND"] = backend
        self._answers, there = os.pipe()
        path = [os.path.abspath(entry) for entry in sys.path if isinstance(entry, str)]  # noqa: PTH100
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _BOOT, str(there), *path],
                pass_fds=[there],
                env=environment,
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except BaseException:
            os.close(self._answers)
            raise
        finally:
            os.close(there)
        self._read = b""

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a line; a child that is gone is found out when it does not answer."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()

    def wait_for(
        self, what: str, seconds: float, most: int | None, bounds: Bounds | None = None
    ) -> dict[str, Any]:
        """Return the next line.

        Raises:
            CorruptArtifact: there is none, for the reason that it says.
        """
        end = time.monotonic() + seconds
        while b"\n" not in self._read:
            if most is not None and bounds is not None and self.memory() > most:
                raise CorruptArtifact(f"{what}: {needs_memory(bounds)}")
            left = end - time.monotonic()
            if left <= 0:
                raise CorruptArtifact(f"{what}: {_needs_time(seconds, bounds)}")
            if select.select([self._answers], [], [], min(left, _LOOK))[0]:
                piece = os.read(self._answers, 2**16)
                if not piece:
                    raise CorruptArtifact(f"{what}: {self._death()}")
                self._read += piece
            if len(self._read) > _LONGEST_ANSWER:
                raise CorruptArtifact(f"{what}: what it says of itself is too long")
        line, _, self._read = self._read.partition(b"\n")
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise CorruptArtifact(f"{what}: the process that looked at it answered something else")
        return answer

    def memory(self) -> int:
        """Return the resident bytes of the child; 0 where it is gone."""
        return resident(self._process.pid)

    def _death(self) -> str:
        code = self._process.wait()
        how = f"exited with code {code}" if code >= 0 else f"was killed by {signal.Signals(-code).name}"
        if code == -signal.SIGXCPU or code == -signal.SIGALRM:
            return _needs_time(None, None)
        return f"it crashes its runtime (the process that opened it {how})"

    def end(self) -> None:
        """End the child and all that it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        self._process.wait()
        os.close(self._answers)


@contextlib.contextmanager
def _child(backend: str | None, folder: Path) -> Iterator[_Child]:
    child = _Child(backend, folder)
    try:
        yield child
    finally:
        child.end()


def resident(pid: int) -> int:
    """Return the bytes of memory that a process holds; 0 where it is gone.

    Example:
        >>> import os
        >>> resident(os.getpid()) > 2**20
        True
    """
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        pass
    if Path("/proc/self/statm").exists():
        return 0
    shown = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return int(shown.stdout or 0) * 1024


def needs_memory(bounds: Bounds) -> str:
    """Say that a file wants too much memory."""
    return f"it needs more than {bounds.memory / 2**20:,.0f} MiB of memory; {PREFIX}MEMORY raises the bound"


def _needs_time(seconds: float | None, bounds: Bounds | None) -> str:
    if seconds is not None and bounds is None:
        return f"its runtime did not start within {seconds:.0f} s"
    within = f"within {bounds.seconds:.0f} s" if bounds else "in time"
    return f"it could not be opened and run {within}; {PREFIX}SECONDS raises the bound"
