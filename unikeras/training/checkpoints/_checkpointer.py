"""`Checkpointer`: saves and restores all that training carries, in a folder that keeps the last files and the best."""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Self

from unikeras import backends
from unikeras._base.locks import NamedLocks
from unikeras._base.signals import interrupts_wait
from unikeras.errors import ArgumentError, ArgumentValueError, ArtifactNotFound, CorruptArtifact, OutputError
from unikeras.training.checkpoints import _checkpoint_file
from unikeras.training.checkpoints._best_value import BestValue
from unikeras.training.checkpoints._carried_state import CarriedState
from unikeras.training.checkpoints._checkpoint_file import Content, OtherVersion
from unikeras.training.checkpoints._checkpoint_folder import CheckpointFolder
from unikeras.training.checkpoints._model_digest import model_digest

# Of the threads of this process; the folder's lock is the process'.
_turns = NamedLocks()


class Checkpointer:
    """Saves and restores what training carries from step to step: one file a checkpoint, written atomically.

    A checkpoint has the model's variables (weights, statistics, recurrent states, seeds), the optimizer's (slots,
    iteration, learning rate, loss scale, accumulated gradients, averages), metrics, the generators of Python, numpy,
    Keras and the framework, and the states of `data` and all that is passed by name. It is read under any backend.

    Args:
        folder: made by the first `save`. Files in it that are no checkpoints are left alone.
        model: a built Keras model or layer.
        optimizer: a Keras optimizer; by default the one that the model was compiled with. Others come with the model
            whose attributes they are.
        data: an object with `state` and `restore`, such as a source of `uk.data`.
        metrics: a Keras metric, or a list or dictionary of them.
        keep: how many of the newest checkpoints stay; None for all. The best one stays besides.
        best: the name of the value that decides which is the best, such as `"val_loss"`, or a name and `"min"` or
            `"max"`. By default what the newest checkpoint in the folder was saved with.
        **anything_with_state: Keras objects with variables, and objects with a property `state` (nested dictionaries
            and lists of None, bool, int, float, str and numpy arrays) and a method `restore(state)`.

    Raises:
        ArgumentError: an argument is of another kind.
        OutputError: the folder is a file.
        ArgumentValueError: `keep` is less than 1, or it is not known whether less or more of `best` is better.

    Example:
        >>> import keras, tempfile
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> checkpointer = Checkpointer(tempfile.mkdtemp(), model=model, best="val_loss")
        >>> checkpointer.save({"val_loss": 0.3}).name
        'checkpoint-00000001.ukckpt'
        >>> checkpointer.restore() == checkpointer.best == checkpointer.latest
        True
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        model: Any = None,
        optimizer: Any = None,
        data: Any = None,
        metrics: Any = None,
        keep: int | None = 3,
        best: str | tuple[str, str] | None = None,
        **anything_with_state: Any,
    ) -> None:
        path = Path(os.path.abspath(_checked_path("folder", folder)))  # noqa: PTH100 - links stay links
        if keep is not None and (not isinstance(keep, int) or isinstance(keep, bool)):
            raise ArgumentError(f"keep has to be an int or None; received {keep!r}")
        if keep is not None and keep < 1:
            raise ArgumentValueError(f"keep has to be at least 1, or None to keep all; received {keep}")
        if os.path.exists(path) and not path.is_dir():  # noqa: PTH110 - pathlib's raises for names that are too long
            raise OutputError(f"{path} is a file; checkpoints need a folder")
        self._keep, self._best = keep, BestValue.of(best)
        self._folder = CheckpointFolder(path)
        named = anything_with_state if data is None else {"data": data, **anything_with_state}
        self._carried = CarriedState(model, optimizer, metrics, named)

    @property
    def folder(self) -> Path:
        """The folder."""
        return self._folder.path

    @property
    def latest(self) -> Path | None:
        """The newest checkpoint that can be read, or None."""
        return self._folder.latest()

    @property
    def best(self) -> Path | None:
        """The checkpoint with the best value, the oldest of equal ones; None where none has such a value."""
        return self._folder.best(self._best)

    def save(self, values: Mapping[str, Any] | None = None) -> Path:
        """Write a checkpoint; afterwards delete those that are neither among the newest nor the best.

        The first call locks the folder for this process, until `close()` or the end of the process.

        Args:
            values: numbers that belong to it, such as `{"val_loss": 0.3}`; `best` looks at them.

        Returns:
            The path of the file, which is on the disk.

        Raises:
            OutputError: the folder cannot be written to, was removed, or another process saves there.
            ArgumentError: a value is no number, or a state has something that a file cannot hold.
            StateError: the model is not built.
        """
        numbers = self._numbers(values)
        return _turns.run([str(self.folder)], lambda: self._write(self._collect(numbers)))

    def collect(self, values: Mapping[str, Any] | None = None) -> Callable[[], Path]:
        """Copy all values now; return what writes them, which another thread may call.

        Args:
            values: as for `save`.

        Returns:
            A function without arguments that writes the checkpoint as `save` does, and returns its path.

        Raises:
            ArgumentError: as by `save`.
            StateError: as by `save`.
        """
        content = self._collect(self._numbers(values))
        # Arrays may lie in the memory of variables, which the next step changes.
        content.arrays.update({name: array.copy() for name, array in content.arrays.items()})
        return lambda: _turns.run([str(self.folder)], lambda: self._write(content))

    @functools.cached_property
    def _digest(self) -> str | None:
        return model_digest(self._carried.model)

    def _collect(self, values: dict[str, float]) -> Content:
        content = self._carried.save()
        content.state |= {"values": values, "best": self._best and [self._best.name, self._best.mode]}
        content.state |= {"backend": backends.current_name(), "versions": _versions(), "config": self._digest}
        return content

    def _write(self, content: Content) -> Path:
        return self._folder.add(content, self._keep, self._best)

    def restore(self, path: str | os.PathLike[str] | None = None) -> Path | None:
        """Put back what a checkpoint holds: all of it, or, where something does not fit, nothing.

        Args:
            path: of a checkpoint; None for the newest that is not damaged.

        Returns:
            The path of what was restored; None where there is no checkpoint.

        Raises:
            CheckpointMismatch: the checkpoint is of another model or optimizer; the error names all differences.
            CorruptArtifact: the file at the path is damaged, or all files are.
            ArtifactNotFound: there is nothing at the path.
            StateError: the model is not built.
        """
        if path is not None:
            return self._restore(Path(_checked_path("path", path)))
        damaged: list[str] = []
        for file in self._folder.files():
            try:
                restored = self._restore(file)
            except ArtifactNotFound:  # whoever saves there has deleted it meanwhile
                continue
            except OtherVersion:
                raise
            except CorruptArtifact as error:
                damaged.append(str(error))
                continue
            if damaged:
                warnings.warn(f"{'; '.join(damaged)}. Restored {file.name} instead", stacklevel=2)
            return restored
        if damaged:
            raise CorruptArtifact(f"no checkpoint in {self.folder} can be used: {'; '.join(damaged)}")
        return None

    def _restore(self, path: Path) -> Path:
        content = _checkpoint_file.read(path)
        try:
            with interrupts_wait():
                self._carried.restore(content)
        except CorruptArtifact as error:
            raise CorruptArtifact(f"{path} cannot be used: {error}") from error
        if skipped := self._carried.skipped_by_restore(content):
            warnings.warn(
                f"{path.name} also holds {', '.join(skipped)}, which this checkpointer was not given",
                stacklevel=3,
            )
        return path

    def _numbers(self, values: Mapping[str, Any] | None) -> dict[str, float]:
        if values is not None and not isinstance(values, Mapping):
            raise ArgumentError(
                f"values has to be a dictionary such as {{'val_loss': 0.3}}; received {values!r:.100}"
            )
        found = {}
        for name, value in (values or {}).items():
            try:
                found[str(name)] = float(value)
            except (TypeError, ValueError) as error:
                raise ArgumentError(
                    f"values[{name!r}] has to be a number; received {value!r:.100}"
                ) from error
        if found and self._best and self._best.name not in found:
            warnings.warn(
                f"values has no {self._best.name!r}, which decides the best checkpoint; it has {', '.join(found)}",
                stacklevel=3,
            )
        return found

    def open(self) -> None:
        """Make the folder and lock it for this process now, as the first `save` would.

        Raises:
            OutputError: the folder cannot be written to, or another process saves there.
        """
        self._folder.open()

    def close(self) -> None:
        """Let other processes save in the folder; the next `save` locks it again."""
        self._folder.lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _checked_path(name: str, path: Any) -> str:
    found = os.fspath(path) if isinstance(path, str | os.PathLike) else None
    if not isinstance(found, str) or not found or "\0" in found:
        raise ArgumentError(f"{name} has to be a path; received {path!r:.100}")
    return found


@functools.cache  # to read them takes as long as to write a small checkpoint
def _versions() -> dict[str, str]:
    current = backends.current()
    return {
        current.name: current.version(),
        **{name: _version(name) for name in ("unikeras", "keras", "numpy")},
    }


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""
