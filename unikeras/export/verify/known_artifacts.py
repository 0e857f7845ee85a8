"""What this installation knows of artifacts by their digests: which ones it wrote, and which were opened without harm.

Both are kept for this process, and for later ones as the names of empty files. Those of written artifacts make a
file trusted, so they stand in the user's state folder (`UNIKERAS_STATE` names another); those of harmless ones
only save a second look, and stand in the cache (`UNIKERAS_CACHE`). A folder counts only if it belongs to this
user and nobody else may write to it. Where it does not, later processes know nothing.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from unikeras.export.request.targets import files_of


@dataclass
class Record:
    """Digests, in this process and in a folder.

    Attributes:
        variable: the environment variable that names the folder above it.
        standard: the variable of the XDG standard, and what it means where it is not set.
        name: the folder's name.
        known: those of this process.
    """

    variable: str
    standard: tuple[str, str]
    name: str
    known: set[str] = field(default_factory=set)

    def add(self, digest: str) -> None:
        """Note a digest, for later processes too where the folder can be used."""
        self.known.add(digest)
        try:
            folder = self._folder(make=True)
            descriptor = os.open(
                folder / digest, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
            )
            os.close(descriptor)
        except (OSError, RuntimeError):  # RuntimeError: the user has no home folder
            return

    def __contains__(self, digest: str) -> bool:
        if digest in self.known:
            return True
        try:
            found = os.lstat(self._folder() / digest)
        except (OSError, RuntimeError):
            return False
        return stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()

    def problem(self) -> str:
        """Say why the folder cannot be used, or `""`."""
        try:
            folder = self._folder(make=True)
        except (OSError, RuntimeError) as error:
            return str(error)
        return "" if os.access(folder, os.W_OK | os.X_OK) else f"{folder} cannot be written to"

    def _folder(self, make: bool = False) -> Path:
        """Return the folder.

        Raises:
            OSError: it is not there, or others could write to it.
        """
        standard, default = self.standard
        above = os.environ.get(standard) or Path(default).expanduser()
        folder = Path(os.environ.get(self.variable) or Path(above, "unikeras")) / self.name
        if make:
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)
        found = os.lstat(folder)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise PermissionError(f"{folder} is not a folder of this user")
        if found.st_mode & 0o022:
            raise PermissionError(f"{folder} can be written to by others; `chmod 700` makes it safe")
        return folder


# Written by `export_model` here: may be opened although opening it runs code.
written = Record("UNIKERAS_STATE", ("XDG_STATE_HOME", "~/.local/state"), "written")
# Opened and run once without harm.
harmless = Record("UNIKERAS_CACHE", ("XDG_CACHE_HOME", "~/.cache"), "proven")


def mark_harmless(path: Path) -> None:
    """Note that a model file was just written here, so that its first opening needs no child process.

    Args:
        path: a file that this process wrote.

    Example:
        >>> path = Path("written_here.keras")
        >>> _ = path.write_bytes(b"...")
        >>> mark_harmless(path)
    """
    harmless.add(digest_of(path))


def digest_of(path: Path, beside: str = "") -> str:
    """Return a digest of all files of an artifact: their names and their content.

    Args:
        path: the artifact.
        beside: the suffix of its second file, where its format has one.
    """
    digest = hashlib.sha256()
    for file in files_of(path, beside):
        name = file.relative_to(path).as_posix() if path.is_dir() else file.suffix.lower()
        digest.update(f"{name}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()
