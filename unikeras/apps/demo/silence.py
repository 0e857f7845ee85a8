"""Silence for frameworks and toolchains that print in the middle of a progress bar."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Hold back what the block writes to stdout and stderr, from C code too; show it if the block raises.

    `contextlib.redirect_stderr` does not suffice: TensorFlow writes to the file descriptor as it is imported.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    terminal = os.dup(1), os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 1)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(terminal[1], held.read())
            raise
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for descriptor, copy in zip((1, 2), terminal, strict=True):
                os.dup2(copy, descriptor)
                os.close(copy)
