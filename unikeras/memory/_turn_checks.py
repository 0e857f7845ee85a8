"""What sessions check of a turn before it and after it, and how they say what is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from unikeras._specs.state_bytes import Array, BadRow, dtype_of
from unikeras._specs.states import StateSpec
from unikeras._specs.turns import to_numpy
from unikeras.errors import (
    ArgumentValueError,
    CorruptSession,
    NonFiniteError,
    SessionConflict,
    SessionError,
    SessionMismatch,
    StateError,
)
from unikeras.memory.stores.base import encode


def check_id(session: Any) -> str:
    """Return a session's id.

    Raises:
        ArgumentError: it is no str.
    """
    encode(session)
    return str(session)


def check_inputs(inputs: Mapping[str, Any]) -> None:
    """Refuse inputs that are not one turn for each session.

    Raises:
        ArgumentError: an id is no str.
        ArgumentValueError: an input is missing, or its batch is not 1. All such sessions are named.
    """
    problems = []
    for session, x in inputs.items():
        encode(session)
        leaves = list(_leaves(x))
        if not leaves or any(leaf is None for leaf in leaves):
            problems.append(f"{session!r:.100} has no input")
        elif any(_shape(leaf)[:1] != (1,) for leaf in leaves):
            problems.append(f"{session!r:.100} has shape {', '.join(str(_shape(leaf)) for leaf in leaves)}")
    if problems:
        raise ArgumentValueError(
            f"each session takes one turn at a time, of shape (1, time, ...); {'; '.join(problems)}"
        )


def check_states(
    specs: Sequence[StateSpec], sessions: Sequence[str], states: Sequence[Sequence[Any]]
) -> list[list[Array]]:
    """Return the new state of each session as arrays of the dtypes that the model declares.

    Raises:
        StateError: a state has another shape than the model declares.
        NonFiniteError: states hold a NaN or an Inf; all such sessions are named.
    """
    arrays = [_cast(specs, state) for state in states]
    if not _are_sound(specs, arrays):
        problems = {one: _find_broken(specs, state) for one, state in zip(sessions, arrays, strict=True)}
        _refuse_broken({session: found for session, found in problems.items() if found})
    return arrays


def _are_sound(specs: Sequence[StateSpec], states: Sequence[Sequence[Array]]) -> bool:
    """Say whether all states are of the right shape and finite: one look at all sessions, for each state."""
    for number, spec in enumerate(specs):
        column = [state[number] for state in states]
        if any(array.shape != (1, *spec.shape) for array in column):
            return False
        if not np.isfinite(np.concatenate(column)).all():
            return False
    return True


def _cast(specs: Sequence[StateSpec], state: Sequence[Any]) -> list[Array]:
    return [
        to_numpy(array).astype(dtype_of(spec.dtype), copy=False)
        for spec, array in zip(specs, state, strict=True)
    ]


def _find_broken(specs: Sequence[StateSpec], state: Sequence[Array]) -> list[str]:
    """Return which parts of a new state could not be read back."""
    for spec, array in zip(specs, state, strict=True):
        if array.shape != (1, *spec.shape):
            raise StateError(
                f"the model returned {spec.layer}/{spec.name} of shape {array.shape}, and declares {(1, *spec.shape)}"
            )
    return [
        f"{spec.layer}/{spec.name}"
        for spec, array in zip(specs, state, strict=True)
        if not np.isfinite(array).all()
    ]


def _refuse_broken(problems: Mapping[str, Sequence[str]]) -> None:
    if problems:
        found = "; ".join(f"{session!r:.100}: {', '.join(names)}" for session, names in problems.items())
        raise NonFiniteError(
            f"after this turn the memory would hold a NaN or an Inf, so nothing was written; {found}"
        )


def unusable(bad: Mapping[str, BadRow]) -> SessionError:
    """Return the error for sessions whose rows cannot be used."""
    reasons = {session: str(error) for session, error in bad.items()}
    listed = "; ".join(f"{session!r:.100}: {reason}" for session, reason in reasons.items())
    if all(error.foreign for error in bad.values()):
        return SessionMismatch(
            f"{len(bad)} session(s) have the memory of another model; nothing was computed or written. {listed}. "
            "Use the model that wrote them, or reset or forget them",
            reasons,
        )
    return CorruptSession(
        f"{len(bad)} session(s) cannot be used; nothing was computed or written. {listed}. "
        "Reset or forget them, or put a backup of the store in place",
        reasons,
    )


def conflict(lost: Sequence[str], attempts: int, outputs: Mapping[str, Any]) -> SessionConflict:
    """Return the error for sessions that others wrote first, each time."""
    names = ", ".join(f"{session!r:.100}" for session in lost)
    return SessionConflict(
        f"others wrote {names} first, {attempts} time(s) in a row; the memory holds their turns and not this one. "
        f"Step again, or give Sessions more retries. {len(outputs)} other session(s) of this call have had their "
        "turn: see .outputs",
        dict.fromkeys(lost, "written by others"),
        outputs,
    )


def _shape(leaf: Any) -> tuple[int, ...]:
    return tuple(leaf.shape) if hasattr(leaf, "shape") else np.shape(leaf)


def _leaves(x: Any) -> Iterable[Any]:
    if isinstance(x, Mapping):
        x = list(x.values())
    if not isinstance(x, list | tuple):
        return [x]
    return [leaf for part in x for leaf in _leaves(part)]
