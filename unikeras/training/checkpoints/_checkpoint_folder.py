"""A folder of checkpoints: their names, which is the latest and which the best, and which may be deleted.

Nothing but the checkpoints themselves says what there is, so no index can contradict them after a kill. Files that are
no checkpoints are left alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unikeras._base.staging_folder import Mark, StagingFolder, mark_of
from unikeras.errors import ArtifactNotFound, CorruptArtifact, OutputError
from unikeras.training.checkpoints import _checkpoint_file
from unikeras.training.checkpoints._best_value import BestValue

_NAME = re.compile(r"checkpoint-(\d{8,18})\.ukckpt")
_STAGING = re.compile(r"\.(checkpoint-\d{8,18}\.ukckpt)\.[a-z0-9_]{8}")


class CheckpointFolder:
    """The checkpoints in a folder, which need not exist.

    Args:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._states: dict[Path, tuple[Mark, dict[str, Any] | None]] = {}

    def files(self) -> list[Path]:
        """Return the files with a checkpoint's name, the newest first, whatever is in them."""
        try:
            found = [path for path in self.path.iterdir() if _NAME.fullmatch(path.name)]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise OutputError(f"cannot read {self.path}: {error.strerror or error}") from error
        return sorted((p for p in found if p.is_file() and not p.is_symlink()), key=_number, reverse=True)

    def next_path(self) -> Path:
        """Return the path of the next checkpoint; its number is larger than any other."""
        taken = [path for path in self.path.iterdir() if _NAME.fullmatch(path.name)]
        return self.path / f"checkpoint-{max(map(_number, taken), default=0) + 1:08d}.ukckpt"

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

    def delete_old(self, keep: int | None, best: BestValue | None) -> None:
        """Delete all checkpoints but the newest ones and the best one.

        Args:
            keep: how many of the newest stay; None for all.
            best: what makes one the best; None for what the newest checkpoint says.
        """
        if keep is None:
            return
        kept = [path for path, _ in self.readable()][:keep]
        kept.append(self.best(best) or kept[0])
        for path in self.files():
            # A file that somebody else gave such a name, and one that is newer, are not ours to delete.
            if path not in kept and _number(path) < _number(kept[0]) and _checkpoint_file.is_checkpoint(path):
                path.unlink(missing_ok=True)

    def clean_up(self) -> None:
        """Delete what killed processes have left of writing; the folder's lock must be held."""
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


def _number(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    return int(match[1]) if match else 0


def _parsed(said: Any) -> BestValue | None:
    if isinstance(said, list) and len(said) == 2 and said[1] in ("min", "max"):
        return BestValue(str(said[0]), said[1])
    return None


def make_folder(path: Path) -> None:
    """Make a folder, and those above it.

    Raises:
        OutputError: something else stands there, or it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise OutputError(f"{path} is a file; a checkpointer needs a folder") from error
    except OSError as error:
        raise OutputError(f"cannot make {path}: {error.strerror or error}") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write to {path}: permission denied")
