"""Why a gradient is None, where the source was not watched: told to the user once for each line that asks."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from unikeras._keras.variables import dtype_of, is_differentiable, is_variable

_PACKAGE = str(Path(__file__).parent.parent)


def warn_of_none(sources: Sequence[Any], answers: Sequence[Any], watched: set[int], accessed: bool) -> None:
    """Warn where sources have no gradient because the tape did not watch them.

    A variable that is watched when it is read, and was not read, is named only where no source has a gradient: a
    model with parts that a loss does not use is no mistake.

    Args:
        sources: tensors and variables.
        answers: the gradient of each, or None.
        watched: the ids of the watched ones.
        accessed: trainable variables are watched when they are read.
    """
    nothing = all(answer is None for answer in answers)
    reasons = [
        f"{_name(number, source)} {reason}"
        for number, (source, answer) in enumerate(zip(sources, answers, strict=True))
        if answer is None and id(source) not in watched
        if (reason := _reason(source, accessed, nothing)) is not None
    ]
    if reasons:
        more = f", and {len(reasons) - 3} more" if len(reasons) > 3 else ""
        warnings.warn(
            f"the gradient is None: {'; '.join(reasons[:3])}{more}", UserWarning, stacklevel=_users_level()
        )


def _name(number: int, source: Any) -> str:
    if is_variable(source):
        return f"variable {source.path}"
    return f"source {number} (a tensor of shape {tuple(source.shape)})"


def _reason(source: Any, accessed: bool, nothing: bool) -> str | None:
    if not is_differentiable(source):
        return f"has dtype {dtype_of(source)}; gradients exist for floating and complex dtypes only"
    if not is_variable(source):
        # The framework's own variables are watched when they are read, as Keras' are.
        if not nothing and (getattr(source, "trainable", False) or getattr(source, "requires_grad", False)):
            return None
        return (
            "is not watched, or has no influence on the target; call tape.watch(tensor) inside the block, before "
            "the computation"
        )
    if not source.trainable:
        return "is not trainable, so it is not watched when it is read; call tape.watch(variable) inside the block"
    if not accessed:
        return (
            "is not watched; call tape.watch(variable) inside the block (watch_accessed_variables is False)"
        )
    return "was not used inside the tape's block; compute the target inside it" if nothing else None


def _users_level() -> int:
    """Return the stacklevel, counted from this function's caller, of the first frame outside this package."""
    frame: FrameType | None = sys._getframe(1)
    level = 1
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, level = frame.f_back, level + 1
    return level
