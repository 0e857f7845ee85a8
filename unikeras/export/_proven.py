"""Which artifacts have been run without harm: native parsers can crash on a file that is damaged.

A digest is remembered for this process, and for later ones as the name of an empty file in the user's
cache folder (`UNIKERAS_CACHE` names another). Where that cannot be written to, later processes look
at the artifact again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

from unikeras.export._targets import files_of

_known: set[str] = set()


def digest_of(path: Path, beside: str = "") -> str:
    """Return a digest of all files of an artifact: their names and their content.

    Args:
        path: the artifact.
        beside: the suffix of its second file, where its format has one.
    """
    digest = hashlib.sha256()
    for file in files_of(path, beside):
        name = file.relative_to(path).as_posix() if path.is_dir() else file.suffix
        digest.update(f"{name}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()


def remember(digest: str) -> None:
    """Note that an artifact was opened and run."""
    _known.add(digest)
    with contextlib.suppress(OSError):
        _folder().mkdir(parents=True, exist_ok=True)
        (_folder() / digest).touch()


def is_known(digest: str) -> bool:
    """Say whether an artifact of this digest was opened and run before.

    Example:
        >>> is_known("0" * 64)
        False
    """
    with contextlib.suppress(OSError):
        return digest in _known or (_folder() / digest).exists()
    return False


def _folder() -> Path:
    caches = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Path(os.environ.get("UNIKERAS_CACHE") or Path(caches, "unikeras"), "proven")
