"""What a checkpoint says before anything of it is restored."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from unikeras.errors import ArtifactNotFound, CorruptArtifact
from unikeras.training.checkpoints import _checkpoint_file
from unikeras.training.checkpoints._checkpoint_file import OtherVersion
from unikeras.training.checkpoints._checkpoint_folder import CheckpointFolder
from unikeras.training.checkpoints._nested_state import join


def newest_state(folder: Path, name: str) -> tuple[Path, Any] | None:
    """Return the newest checkpoint that is not damaged, and one of the states that it holds.

    Args:
        folder: it may be missing.
        name: of the state.

    Returns:
        The path and the state, None for the latter where the checkpoint has no such state; None where there is no
        checkpoint.

    Raises:
        CorruptArtifact: all checkpoints are damaged.
    """
    damaged: list[str] = []
    for path in CheckpointFolder(folder).files():
        try:
            content = _checkpoint_file.read(path)
        except ArtifactNotFound:
            continue
        except OtherVersion:
            raise
        except CorruptArtifact as error:
            damaged.append(str(error))
            continue
        if damaged:
            warnings.warn(f"{'; '.join(damaged)}. {path.name} is used instead", stacklevel=2)
        objects = content.state.get("objects")
        found = objects.get(name) if isinstance(objects, dict) else None
        return path, None if found is None else join(found, content.arrays)
    if damaged:
        raise CorruptArtifact(f"no checkpoint in {folder} can be used: {'; '.join(damaged)}")
    return None
