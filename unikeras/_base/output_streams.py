"""What frameworks and toolchains write to stdout and stderr, held back."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
from collections.abc import Iterator

# The descriptors are the process's: a second thread waits, for the first would otherwise put back what it has changed.
_lock = threading.RLock()


@contextlib.contextmanager
def hold_back_output() -> Iterator[None]:
    """Hold back all that is written to stdout and stderr; show it on stderr if the block raises.

    It works on the file descriptors, so that C code and child processes are covered: TensorFlow greets on
    stderr before any of its settings is read, in the middle of a progress bar.
    """
    with _lock:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        kept = os.dup(1), os.dup(2)
        with tempfile.TemporaryFile() as sink:
            os.dup2(sink.fileno(), 1)
            os.dup2(sink.fileno(), 2)
            try:
                yield
            except BaseException:
                sink.seek(0)
                os.write(kept[1], sink.read())
                raise
            finally:
                for stream in (sys.stdout, sys.stderr):
                    stream.flush()
                for number, copy in enumerate(kept, start=1):
                    os.dup2(copy, number)
                    os.close(copy)
