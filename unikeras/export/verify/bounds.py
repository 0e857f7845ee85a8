"""How much a file may ask for while it is looked at; environment variables raise the bounds.

| variable | default | bounds |
|---|---|---|
| `UNIKERAS_OPEN_LIMIT_SECONDS` | 15 | time to read, open and run a file once; one second more for each 10 MB |
| `UNIKERAS_OPEN_LIMIT_MEMORY` | 1 GiB | memory beyond that of the runtime itself; and six times the file's size |
| `UNIKERAS_OPEN_LIMIT_BYTES` | 16 GiB | size of all files of an artifact, and of each archive once it is unpacked |
| `UNIKERAS_OPEN_LIMIT_TEXT` | 64 MiB | size of a text inside an archive, such as `config.json` |
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

from unikeras.errors import ArgumentValueError

PREFIX = "UNIKERAS_OPEN_LIMIT_"

# What a file may take beside the fixed allowance, for each byte that it holds: a parser's copy, the
# runtime's, the one rearranged for the processor, and quantized weights as floats.
MEMORY_PER_BYTE = 6
SECONDS_PER_BYTE = 1e-7

# Before a runtime has read one byte of a file only this installation can be slow.
START_SECONDS = 120.0


@dataclass(frozen=True)
class Bounds:
    """What a file may ask for."""

    seconds: float = 15.0
    memory: int = 2**30
    bytes: int = 2**34
    text: int = 2**26

    @classmethod
    def from_environment(cls) -> Bounds:
        """Return the defaults, or what the environment says instead.

        Raises:
            ArgumentValueError: a variable holds no number above 0.

        Example:
            >>> Bounds.from_environment().of_size(10_000_000).seconds
            16.0
        """
        seconds = _read("SECONDS", cls.seconds)
        sizes = (int(_read(name.upper(), getattr(cls, name))) for name in ("memory", "bytes", "text"))
        return cls(seconds, *sizes)

    def of_size(self, size: int) -> Bounds:
        """Return the bounds of a file of this many bytes."""
        seconds, memory = self.seconds + SECONDS_PER_BYTE * size, self.memory + MEMORY_PER_BYTE * size
        return Bounds(seconds, memory, self.bytes, self.text)


def _read(name: str, default: float) -> float:
    text = os.environ.get(PREFIX + name, "")
    try:
        value = float(text) if text else float(default)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise ArgumentValueError(f"{PREFIX}{name} must be a number above 0; received {text!r}")
    return value
