"""What a traced function leaves behind in Python: tensors without a value, and lists that grew once.

While a function is traced its tensors are symbols. One that is stored in an attribute, a list or a global outlives
the trace and has no value; frameworks notice when it is read, far from the line that stored it. Here it is replaced,
right after the trace, by an object that says where it came from.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

import keras

from unikeras._keras.saving import KerasSaveable
from unikeras.errors import LeakedTensorError
from unikeras.functions import _source


@dataclass(frozen=True)
class _Place:
    """Somewhere that a function can reach and store to.

    Attributes:
        name: the attribute, variable or list.
        of: what it belongs to, in words.
        owner: the object whose methods may store there, or None.
        holder: a dictionary, list or closure cell.
        key: where in the holder.
    """

    name: str
    of: str
    owner: Any
    holder: Any
    key: Any

    @property
    def value(self) -> Any:
        if hasattr(self.holder, "cell_contents"):
            return self.holder.cell_contents
        return self.holder[self.key]

    def replace(self, value: Any) -> None:
        if hasattr(self.holder, "cell_contents"):
            self.holder.cell_contents = value
        else:
            self.holder[self.key] = value


class Watch:
    """Sees what a function stores while it is traced.

    Args:
        f: the function, before it is traced.
    """

    def __init__(self, f: Callable[..., Any]) -> None:
        self._f = f
        containers = [place.value for place in _places(f) if isinstance(place.value, list | dict)]
        self._sizes = {id(container): (container, len(container)) for container in containers}

    def report(self, is_symbolic: Callable[[Any], bool]) -> None:
        """Replace the tensors that the trace left behind, and warn of lists that it changed.

        Args:
            is_symbolic: says of a value whether it is a tensor of a trace.
        """
        for place in list(_places(self._f)):
            value = place.value
            if is_symbolic(value):
                place.replace(LeakedTensor(self._f, place))
            elif isinstance(value, list | dict):
                self._look_into(place, value, is_symbolic)

    def undo(self, is_symbolic: Callable[[Any], bool]) -> None:
        """Take back what a trace that failed has appended to lists and dictionaries, and the tensors that it left.

        Args:
            is_symbolic: says of a value whether it is a tensor of a trace.
        """
        for container, size in self._sizes.values():
            if isinstance(container, list):
                del container[size:]
            else:
                for key in list(container)[size:]:
                    del container[key]
        for place in list(_places(self._f)):
            if is_symbolic(place.value):
                place.replace(LeakedTensor(self._f, place))

    def _look_into(self, place: _Place, container: Any, is_symbolic: Callable[[Any], bool]) -> None:
        _, size = self._sizes.get(id(container), (None, len(container)))
        entries = list(container.items() if isinstance(container, dict) else enumerate(container))
        for key, value in entries:
            if is_symbolic(value):
                container[key] = LeakedTensor(self._f, place)
        if len(entries) != size and not all(_is_state(value) for _, value in entries[size:]):
            warnings.warn(
                f"{place.name!r} ({place.of}) was changed at {_source.line_of_store(self._f, place.name, place.owner)} "
                f"while {_source.name(self._f)} was traced. That happens when it is traced, not at each call: "
                "return the value, or keep it in a keras.Variable",
                RuntimeWarning,
                stacklevel=2,
            )


class LeakedTensor:
    """Stands where a tensor of a finished trace was stored; to use it is an error that says where that was."""

    def __init__(self, f: Callable[..., Any], place: _Place) -> None:
        line = _source.line_of_store(f, place.name, place.owner)
        object.__setattr__(
            self,
            "_text",
            f"{place.name!r} ({place.of}) holds a tensor of a finished trace, which has no value: it was stored at "
            f"{line} while {_source.name(f)} was compiled. Return it from the function, or assign it to a "
            "keras.Variable",
        )

    def __repr__(self) -> str:
        return f"<leaked tensor: {self._text}>"

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__") and name not in _ARRAY_PROTOCOLS:
            raise AttributeError(name)  # Python's own questions, such as those of copy and pickle
        raise LeakedTensorError(self._text)


_ARRAY_PROTOCOLS = ("__jax_array__", "__tf_tensor__", "__array_interface__")


def _refuse(self: LeakedTensor, *args: Any, **kwargs: Any) -> NoReturn:
    raise LeakedTensorError(self._text)


_OPERATORS = (
    "array float int bool index complex len iter getitem call neg abs add radd sub rsub mul rmul truediv rtruediv "
    "floordiv mod pow rpow matmul rmatmul lt le gt ge format str"
)
for _operator in _OPERATORS.split():
    setattr(LeakedTensor, f"__{_operator}__", _refuse)


def _places(f: Callable[..., Any]) -> Iterator[_Place]:
    """Give the places that a function can reach: what it closes over, its globals, its object, one level deep."""
    code = getattr(f, "__code__", None)
    if code is None:
        return
    owners: dict[int, Any] = {}
    if hasattr(f, "__self__"):
        owners[id(f.__self__)] = f.__self__
    function = getattr(f, "__func__", f)
    for place in _variables(function, code):
        yield place
        if _may_hold(place.value):
            owners[id(place.value)] = place.value
    for owner in list(owners.values()):
        if _is_layer(owner):
            owners.update((id(layer), layer) for layer in owner._flatten_layers())
    for owner in owners.values():
        yield from _attributes(owner)


def _variables(f: Any, code: Any) -> Iterator[_Place]:
    of = f"a variable around {_source.name(f)}"
    for name, cell in zip(code.co_freevars, f.__closure__ or (), strict=True):
        if _is_filled(cell):
            yield _Place(name, of, None, cell, None)
    for name in code.co_names:
        if name in f.__globals__:
            yield _Place(name, f"a global of {f.__module__}", None, f.__globals__, name)


def _attributes(owner: Any) -> Iterator[_Place]:
    if not isinstance(getattr(owner, "__dict__", None), dict):
        return  # a class, or an object with __slots__
    of = f"an attribute of {type(owner).__name__}"
    for name in list(vars(owner)):
        # What starts with an underscore is bookkeeping, of Keras' layers above all.
        if not name.startswith("_"):
            yield _Place(name, of, owner, vars(owner), name)


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _may_hold(value: Any) -> bool:
    is_object = hasattr(value, "__dict__") and not isinstance(value, type) and not callable(value)
    return is_object or _is_layer(value)


def _is_layer(value: Any) -> bool:
    return isinstance(value, keras.Layer)


def _is_state(value: Any) -> bool:
    return isinstance(value, KerasSaveable | keras.Variable)
