"""How values travel between processes: cloudpickle, with tensors as numpy and models as .keras bytes."""

from __future__ import annotations

import io
import linecache
import pickle
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import cloudpickle

from unikeras import backends
from unikeras._keras import archive
from unikeras.backends import Backend
from unikeras.errors import ArgumentError, BackendUnavailable

Packed = bytes | memoryview


class _Pickler(cloudpickle.Pickler):
    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self._backends = list(_loaded_backends())
        keras = sys.modules.get("keras")
        self._keras = keras if hasattr(keras, "Variable") else None  # another thread may be importing it

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, types.CodeType):
            make, parts = self.dispatch_table[types.CodeType](value)[:2]
            return _code_of_file, (make, parts, value.co_filename, _unsaved_lines(value.co_filename))
        if not isinstance(value, type):
            for backend in self._backends:
                if backend.is_tensor(value):
                    return _own, (backend.to_numpy(value),)
            if self._keras is not None:
                if isinstance(value, self._keras.Variable):
                    return _own, (self._keras.ops.convert_to_numpy(value),)
                if archive.is_saveable(value):
                    return archive.unpack, archive.pack(value)
        return super().reducer_override(value)


def _loaded_backends() -> Iterator[Backend]:
    """Yield the backends whose framework is imported: no other can have made a tensor."""
    for name, entry in backends.ENTRIES.items():
        if entry.framework in sys.modules:
            try:
                yield backends.load(name)
            except BackendUnavailable:
                continue


def _own(array: Any) -> Any:
    """Return an array that can be written to: some frameworks lend a view of their memory."""
    return array if array.flags.writeable else array.copy()


def _unsaved_lines(file: str) -> list[str]:
    """Return the source of a notebook's cell or an interpreter's input, which no other process can read."""
    entry = linecache.cache.get(file, ())
    # linecache marks what did not come from a file by a modification time of None.
    return list(entry[2]) if len(entry) == 4 and entry[1] is None else []


def _code_of_file(
    make: Callable[..., types.CodeType], parts: tuple[Any, ...], file: str, lines: list[str]
) -> types.CodeType:
    """Return code whose tracebacks show its source.

    cloudpickle 3.1.3 and later name all code "<dynamic-code>", so that equal functions pickle to equal bytes.
    """
    if lines:
        linecache.cache[file] = (sum(map(len, lines)), None, lines, file)
    return make(*parts).replace(co_filename=file)


def _dumps(value: Any) -> memoryview:
    buffer = io.BytesIO()
    _Pickler(buffer).dump(value)
    return buffer.getbuffer()


def unpack(packed: Packed, name: str) -> Any:
    """Return what was packed.

    Raises:
        ArgumentError: it cannot be unpickled here; the message calls it by the name given.
    """
    try:
        return pickle.loads(packed)
    except Exception as error:  # a class may raise anything when it is unpickled
        raise ArgumentError(f"{name} cannot be unpickled in this process: {error!r}") from error


def pack(value: Any, name: str) -> memoryview:
    """Pack one value.

    Args:
        value: anything.
        name: what an error calls it.

    Raises:
        ArgumentError: something in it cannot be pickled; the message says where it is.
    """
    return _pack(value, {name: value})


def pack_call(f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> memoryview:
    """Pack a function and its arguments, so that what they share stays shared.

    Raises:
        ArgumentError: one of them cannot be pickled; the message names it.
    """
    _send_by_value_if_not_importable(f)
    positional = {f"argument {index}": value for index, value in enumerate(args)}
    named = {f"argument {name!r}": value for name, value in kwargs.items()}
    return _pack((f, args, kwargs), {"the function": f, **positional, **named})


def _pack(value: Any, parts: dict[str, Any]) -> memoryview:
    try:
        return _dumps(value)
    except Exception as error:  # a class may raise anything when it is pickled
        name, culprit = next(_culprits(parts), ("a value", value))
        raise ArgumentError(
            f"{name}, of type {type(culprit).__qualname__}, cannot be sent to another process: {error}. "
            "Send what it is made from, and make it inside the function."
        ) from error


def _culprits(parts: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in parts.items():
        try:
            _dumps(value)
        except Exception:  # as above
            yield from _culprits({f"{name}[{key!r}]": inner for key, inner in _items(value)})
            yield name, value


def _items(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list | tuple):
        yield from enumerate(value)


def _send_by_value_if_not_importable(f: Callable[..., Any]) -> None:
    """Treat a function's module like a script where an import by its name would not find it.

    Such are the modules that test runners and plug-in loaders make from a file.
    """
    name = getattr(f, "__module__", None)
    module = sys.modules.get(name or "")
    if module is not None and hasattr(module, "__file__") and not _is_importable(module.__name__):
        cloudpickle.register_pickle_by_value(module)


def _is_importable(name: str) -> bool:
    # importlib.util.find_spec would answer from sys.modules, and so always yes.
    path, known, found = None, "", None
    for part in name.split("."):
        known = f"{known}.{part}".lstrip(".")
        finders = (finder for finder in sys.meta_path if hasattr(finder, "find_spec"))
        found = next((spec for finder in finders if (spec := finder.find_spec(known, path))), None)
        if found is None:
            return False
        path = found.submodule_search_locations
    return True
