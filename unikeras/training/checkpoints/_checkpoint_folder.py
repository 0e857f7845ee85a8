"""A folder of checkpoints: their names, which is the latest and which the best, and which may be deleted.

Nothing but the checkpoints themselves says what there is, so no index can contradict them after a kill. Files that are
no checkpoints are left alone.
"""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unikeras._base.staging_folder import Mark, StagingFolder, mark_of
from unikeras.errors import ArtifactNotFound, CorruptArtifact, OutputError
from unikeras.training.checkpoints import _checkpoint_file
from unikeras.training.checkpoints._best_value import BestValue
from unikeras.training.checkpoints._checkpoint_file import Content
from unikeras.training.checkpoints._folder_lock import FolderLock

_NAME = re.compile(r"checkpoint-(\d{8,100})\.ukckpt")
_STAGING = re.compile(r"\.(checkpoint-\d{8,100}\.ukckpt)\.[a-z0-9_]{8}")


class CheckpointFolder:
    """The checkpoints in a folder, which need not exist.

    Args:
        path: the folder.

    Attributes:
        lock: held from `open`, or the first `add`, on.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = FolderLock(path)
        self._states: dict[Path, tuple[Mark, dict[str, Any] | None]] = {}

    def files(self) -> list[Path]:
        """Return the files with a checkpoint's name, the newest first, whatever is in them."""
        try:
            found = [path for path in self.path.iterdir() if _NAME.fullmatch(path.name)]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise OutputError(f"cannot read {self.path}: {error.strerror or error}") from error
        return sorted((p for p in found if p.is_file() and not p.is_symlink()), key=_number, reverse=True)

    def open(self) -> None:
        """Make the folder and lock it, or see whether it is still the one that was locked.

        Raises:
            OutputError: the folder cannot be written to, was removed, or another process saves there.
        """
        with _named_errors(self.path):
            if not self.lock.is_held:
                self.path.mkdir(parents=True, exist_ok=True)
            self.lock.acquire()

    def add(self, content: Content, keep: int | None, best: BestValue | None) -> Path:
        """Write a checkpoint, and only then delete those that are neither among the newest nor the best.

        Args:
            content: what it holds.
            keep: how many of the newest stay; None for all.
            best: what makes one the best; None for what the newest checkpoint says.

        Returns:
            Its path; its number is larger than any other.

        Raises:
            OutputError: the folder cannot be written to, was removed, or another process saves there.
        """
        self.open()
        with _named_errors(self.path):
            self._clean_up()
            taken = [_number(path) for path in self.path.iterdir() if _NAME.fullmatch(path.name)]
            path = self.path / f"checkpoint-{max(taken, default=0) + 1:08d}.ukckpt"
            _checkpoint_file.write(path, content)
        try:
            self._delete_old(path, keep, best)
        except OSError as error:
            warnings.warn(f"cannot delete old checkpoints in {self.path}: {error}", stacklevel=2)
        return path

    def readable(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Yield the checkpoints whose state can be read, the newest first, with that state."""
        for path in self.files():
            state = self._state_of(path)
            if state is not None:
                yield path, state

    def latest(self) -> Path | None:
        """Return the newest readable checkpoint, or None."""
        return next((path for path, _ in self.readable()), None)

    def best(self, best: BestValue | None) -> Path | None:
        """Return the best readable checkpoint; of equal ones the oldest.

        Args:
            best: what makes it the best; None for what the newest checkpoint says.
        """
        checkpoints = list(self.readable())
        if best is None:
            said = next((state.get("best") for _, state in checkpoints if state.get("best")), None)
            best = _parsed(said)
        found: tuple[Path, float] | None = None
        for path, state in reversed(checkpoints):
            values = state.get("values")
            value = best.value_in(values) if best and isinstance(values, dict) else None
            if best and value is not None and (found is None or best.is_better(value, than=found[1])):
                found = path, value
        return found and found[0]

    def _delete_old(self, newest: Path, keep: int | None, best: BestValue | None) -> None:
        if keep is None:
            return
        kept = {newest, *[path for path, _ in self.readable()][:keep], self.best(best)}
        for path in self.files():
            # A file that somebody else gave such a name is not ours to delete.
            if path not in kept and _number(path) < _number(newest) and _checkpoint_file.is_checkpoint(path):
                path.unlink(missing_ok=True)

    def _clean_up(self) -> None:
        """Delete what killed processes have left of writing."""
        for path in self.path.iterdir():
            if match := _STAGING.fullmatch(path.name):
                for staging in StagingFolder.find_abandoned(self.path / match[1]):
                    staging.remove()

    def _state_of(self, path: Path) -> dict[str, Any] | None:
        mark = mark_of(path)
        if mark is None:
            return None
        known = self._states.get(path)
        if known is None or known[0] != mark:
            try:
                state = _checkpoint_file.read_state(path)
                known = mark, {"values": state.get("values"), "best": state.get("best")}
            except (CorruptArtifact, ArtifactNotFound):
                known = mark, None
            self._states[path] = known
        return known[1]


@contextlib.contextmanager
def _named_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OutputError:
        raise
    except FileExistsError as error:
        raise OutputError(f"{folder} is a file; checkpoints need a folder") from error
    except OSError as error:
        raise OutputError(f"cannot write to {folder}: {error.strerror or error}") from error


def _number(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    return int(match[1]) if match else 0


def _parsed(said: Any) -> BestValue | None:
    if isinstance(said, list) and len(said) == 2 and said[1] in ("min", "max"):
        return BestValue(str(said[0]), said[1])
    return None
