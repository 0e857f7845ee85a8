"""Nested state as JSON and arrays apart, and back: what an object's `state` property returns, made fit for a file.

In the JSON an array is `{"$array": name}`. A dictionary's own keys that begin with a dollar sign get a second one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from unikeras.errors import ArgumentError, CorruptArtifact

Arrays = dict[str, np.ndarray[Any, Any]]

# A numpy scalar is an array without axes in the file, and a scalar again afterwards.
_ARRAY, _SCALAR = "$array", "$scalar"
_DEPTH = 100
# One that is longer cannot be read back: Python refuses to parse it.
_MAX_BITS = 10_000


def split(state: Any, name: str, arrays: Arrays) -> Any:
    """Return a state as JSON, and put its arrays under names of their own into `arrays`.

    Args:
        state: nested dictionaries, lists and tuples of None, bool, int, float, str and numpy arrays.
        name: of the state; the names of its arrays begin with it.
        arrays: takes the arrays, each copied, C-contiguous and in the machine's byte order.

    Raises:
        ArgumentError: the state holds anything else, or is nested more than 100 levels deep.

    Example:
        >>> arrays = {}
        >>> split({"wait": 2, "best": np.zeros(3)}, "stopping", arrays), list(arrays)
        ({'wait': 2, 'best': {'$array': 'stopping/best'}}, ['stopping/best'])
    """
    return _split(state, name, arrays, _DEPTH)


def _split(state: Any, name: str, arrays: Arrays, depth: int) -> Any:
    if depth == 0:
        raise ArgumentError(f"the state {name.split('/')[0]!r} is nested more than {_DEPTH} levels deep")
    if state is None or type(state) in (bool, float, str):
        return state
    if type(state) is int and state.bit_length() <= _MAX_BITS:
        return state
    if isinstance(state, np.ndarray | np.generic):
        return _take_array(state, name, arrays)
    if isinstance(state, Mapping):
        return {_escape(key, name): _split(x, f"{name}/{key}", arrays, depth - 1) for key, x in state.items()}
    if isinstance(state, list | tuple):
        return [_split(x, f"{name}/{i}", arrays, depth - 1) for i, x in enumerate(state)]
    raise ArgumentError(
        f"the state {name!r} is a {type(state).__name__}, which a checkpoint cannot hold; a state consists of "
        "dictionaries with str keys, lists, None, bool, int, float, str and numpy arrays"
    )


def _escape(key: Any, name: str) -> str:
    if not isinstance(key, str):
        raise ArgumentError(f"the state {name!r} has the key {key!r:.100}; a checkpoint holds str keys only")
    return f"${key}" if key.startswith("$") else str(key)


def _take_array(value: Any, name: str, arrays: Arrays) -> dict[str, str]:
    array = np.array(value, order="C", subok=False)  # a copy: the state may change while it is written
    if not is_storable(array.dtype):
        raise ArgumentError(
            f"the state {name!r} is an array of dtype {array.dtype}; a checkpoint holds numbers and bools"
        )
    unique = name
    while unique in arrays:  # keys may hold slashes
        unique += "+"
    arrays[unique] = array.astype(array.dtype.newbyteorder("="), copy=False)
    return {_ARRAY if isinstance(value, np.ndarray) else _SCALAR: unique}


def is_storable(dtype: np.dtype[Any]) -> bool:
    """Say whether a file holds arrays of a dtype: numbers and bools, those of ml_dtypes too."""
    return dtype.kind in "biufc" or (dtype.kind == "V" and dtype.names is None and dtype.type is not np.void)


def join(tree: Any, arrays: Mapping[str, np.ndarray[Any, Any]]) -> Any:
    """Return the state that `split` took apart; its arrays are copies that may be changed.

    Raises:
        CorruptArtifact: the JSON names an array that is not there, or is nested more deeply than `split` allows.

    Example:
        >>> join({"best": {"$array": "a"}}, {"a": np.arange(2)})
        {'best': array([0, 1])}
    """
    return _join(tree, arrays, _DEPTH)


def _join(tree: Any, arrays: Mapping[str, np.ndarray[Any, Any]], depth: int) -> Any:
    if depth == 0:
        raise CorruptArtifact(f"a state is nested more than {_DEPTH} levels deep")
    if isinstance(tree, list):
        return [_join(part, arrays, depth - 1) for part in tree]
    if not isinstance(tree, dict):
        return tree
    if len(tree) == 1 and (_ARRAY in tree or _SCALAR in tree):
        ((kind, name),) = tree.items()
        if not isinstance(name, str) or name not in arrays:
            raise CorruptArtifact(f"a state names the array {name!r:.100}, which the file does not have")
        return arrays[name][()].copy() if kind == _SCALAR else arrays[name].copy()
    return {key.removeprefix("$"): _join(part, arrays, depth - 1) for key, part in tree.items()}
