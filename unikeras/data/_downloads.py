"""Files that are downloaded once: checked by length and checksum, and written atomically."""

from __future__ import annotations

import hashlib
import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from unikeras._base.files import written_atomically
from unikeras.errors import DatasetError

_PATIENCE = 20.0  # seconds without data before a download fails
_BLOCK = 1 << 20


@dataclass(frozen=True)
class RemoteFile:
    """A file that never changes.

    Attributes:
        path: where it is kept, relative to the folder of data sets.
        url: where it comes from.
        size: in bytes.
        sha256: of its content.
    """

    path: str
    url: str
    size: int
    sha256: str


def data_folder() -> Path:
    """Return where Keras keeps its data sets, so that what it has downloaded is used."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "datasets"


def fetch(file: RemoteFile, folder: Path, mirror: str | None = None) -> Path:
    """Return the path of a file; download it where it is missing or damaged.

    Args:
        file: which.
        folder: of data sets.
        mirror: the URL of a folder to download from instead.

    Raises:
        DatasetError: it cannot be downloaded, or what comes is not the file. Nothing partial is left.
        OutputError: the folder cannot be written to.
    """
    path = folder / file.path
    if path.is_file() and path.stat().st_size == file.size and _digest_of(path) == file.sha256:
        return path
    url = file.url if mirror is None else f"{mirror.rstrip('/')}/{Path(file.path).name}"
    with written_atomically(path) as temporary:
        try:
            _download(url, temporary, file)
        except (OSError, HTTPException, ValueError) as error:
            if isinstance(error, DatasetError):
                raise
            reason = getattr(error, "reason", None) or error
            raise DatasetError(f"cannot download {url}: {reason}; it can also be put at {path}") from error
    return path


def _download(url: str, path: Path, file: RemoteFile) -> None:
    digest, count = hashlib.sha256(), 0
    with urllib.request.urlopen(url, timeout=_PATIENCE) as answer, path.open("wb") as written:
        while block := answer.read(_BLOCK):
            count += len(block)
            if count > file.size:
                raise DatasetError(f"{url} has more than the {file.size} bytes of the file")
            digest.update(block)
            written.write(block)
    if count < file.size:
        raise DatasetError(f"the download of {url} ended after {count} of {file.size} bytes; try again")
    if digest.hexdigest() != file.sha256:
        raise DatasetError(
            f"{url} has other content than the file: sha256 {digest.hexdigest()}, not {file.sha256}"
        )


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
