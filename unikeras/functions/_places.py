"""Where Python keeps a value that a function reads besides its arguments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


class _Missing:
    def __repr__(self) -> str:
        return "not set"


MISSING: Any = _Missing()  # the value of a place that is empty


@dataclass(frozen=True, eq=False)
class Place:
    """Somewhere that holds a value.

    Attributes:
        name: what the source calls it.
        of: what it belongs to, in words.
        holder: the object that holds it: a dictionary, a cell, a list, or an object with slots.
        key: where in the holder.
    """

    name: str
    of: str
    holder: Any
    key: Any = None

    @property
    def identity(self) -> tuple[int, Any]:
        """What two places have in common that are one; the holder must be alive."""
        return id(self.holder), self.key

    def read(self) -> Any:
        """Return the value, and run no code of the user: properties are not asked."""
        raise NotImplementedError

    def restore(self, value: Any) -> None:
        """Put a value back."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class Entry(Place):
    """An entry of a dictionary: an instance's attribute, a global, or what a constant key names.

    Attributes:
        default: what the class of an instance says where the instance says nothing.
    """

    default: Any = MISSING

    def read(self) -> Any:
        return dict.get(self.holder, self.key, MISSING)  # a subclass may have a `get` of its own

    def restore(self, value: Any) -> None:
        if value is MISSING:
            self.holder.pop(self.key, None)
        else:
            self.holder[self.key] = value


class ClassEntry(Place):
    """An attribute of a class, the holder."""

    def read(self) -> Any:
        return vars(self.holder).get(self.key, MISSING)

    def restore(self, value: Any) -> None:
        setattr(self.holder, self.key, value)


class Cell(Place):
    """A variable of an enclosing function."""

    def read(self) -> Any:
        try:
            return self.holder.cell_contents
        except ValueError:
            return MISSING

    def restore(self, value: Any) -> None:
        self.holder.cell_contents = value


class Slot(Place):
    """An attribute of an object with `__slots__`; the key is the slot's descriptor."""

    def read(self) -> Any:
        try:
            return self.key.__get__(self.holder)
        except AttributeError:
            return MISSING

    def restore(self, value: Any) -> None:
        self.key.__set__(self.holder, value)


class Index(Place):
    """An element of a list."""

    def read(self) -> Any:
        try:
            return list.__getitem__(self.holder, self.key)
        except IndexError:
            return MISSING

    def restore(self, value: Any) -> None:
        self.holder[self.key] = value


class Contents(Place):
    """All that a list, a set or a dictionary holds, as a tuple."""

    def read(self) -> tuple[Any, ...]:
        if isinstance(self.holder, dict):
            return (*self.holder, *self.holder.values())
        return tuple(self.holder)

    def restore(self, value: Any) -> None:
        if isinstance(self.holder, list):
            self.holder[:] = value
            return
        self.holder.clear()
        half = len(value) // 2
        self.holder.update(
            zip(value[:half], value[half:], strict=True) if isinstance(self.holder, dict) else value
        )
