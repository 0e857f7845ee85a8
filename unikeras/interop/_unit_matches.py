"""Which module of torch belongs to which part of a Keras model: as told, by name, by structure and shape, by order."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from unikeras._base.suggestions import did_you_mean
from unikeras.interop._module_groups import Group
from unikeras.interop._unit_fits import Fits
from unikeras.interop._weight_links import Unit

# How a pair was found.
MAPPING, NAME, SHAPE, STRUCTURE, ORDER = "mapping", "name", "shape", "structure", "order"


@dataclass
class Matches:
    """What belongs together, and what is left.

    Attributes:
        pairs: a unit, a group, and how they were found; in the order of the units.
        left_units: units without a group.
        left_groups: groups without a unit.
        dropped: groups that the mapping leaves out.
        problems: what forbids to go on, whether all has to match or not.
        ambiguities: units and groups that fit in more than one way, and a sentence that says so.
        misfits: pairs of the same name that do not fit.
    """

    pairs: list[tuple[Unit, Group, str]] = field(default_factory=list)
    left_units: list[Unit] = field(default_factory=list)
    left_groups: list[Group] = field(default_factory=list)
    dropped: list[Group] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    ambiguities: list[tuple[list[Unit], list[Group], str]] = field(default_factory=list)
    misfits: list[tuple[Unit, Group]] = field(default_factory=list)


def match(
    units: Sequence[Unit], groups: Sequence[Group], mapping: Mapping[str, str | None], in_order: bool = True
) -> Matches:
    """Return which group belongs to which unit.

    Args:
        units: those of the Keras model, in the order in which it runs them.
        groups: those of the state_dict, in its order.
        mapping: paths of units by paths of groups; None leaves a group out.
        in_order: whether the order of the groups is that of the module. A `.safetensors` file has them by name, and
            then only numbers in names tell which is first.
    """
    search = _Search(units, groups, in_order)
    search.follow(mapping)
    search.by_name()
    if in_order:
        search.by_sequence()
    while search.by_shape() or search.by_structure() or search.by_order():
        pass
    return search.result()


class _Search:
    def __init__(self, units: Sequence[Unit], groups: Sequence[Group], in_order: bool) -> None:
        self._all_units, self._all_groups, self._in_order = list(units), list(groups), in_order
        self.units, self.groups = list(units), list(groups)
        self.found: dict[int, tuple[Group, str]] = {}
        self.matches = Matches()
        self._fits = Fits(units, groups)

    def follow(self, mapping: Mapping[str, str | None]) -> None:
        """Match what the caller says."""
        by_path = {unit.path: unit for unit in self._all_units}
        by_name = {name: group for group in self._all_groups for name in _names_of(group)}
        taken = Counter(target for target in mapping.values() if target is not None)
        problems = self.matches.problems
        problems += [f"mapping names {path!r} {n} times" for path, n in taken.items() if n > 1]
        for name, path in mapping.items():
            group = by_name.get(name.removesuffix("."))
            if group is None or group not in self.groups:
                problems.append(
                    f"mapping: the state_dict has no {name!r}. {did_you_mean(name, by_name)}".rstrip()
                )
            elif path is None:
                self.groups.remove(group)
                self.matches.dropped.append(group)
            elif path not in by_path:
                problems.append(f"mapping: the model has no {path!r}. {did_you_mean(path, by_path)}".rstrip())
            elif not by_path[path].accepts(group.tensors):
                problems.append(f"mapping: {group} does not fit {by_path[path]}{_because(by_path[path])}")
            elif by_path[path] in self.units:
                self._pair(by_path[path], group, MAPPING)

    def by_name(self) -> None:
        """Match equal paths, then equal last parts of paths that are the only ones of their name."""
        for whole in (True, False):
            key_of = _parts if whole else _last_part
            named = [unit for unit in self.units if unit.is_named]
            units, groups = _by_key(named, key_of), _by_key(self.groups, key_of)
            for key in [key for key in units if key in groups and _says_something(key)]:
                unit, group = units[key], groups[key]
                if unit.accepts(group.tensors):
                    self._pair(unit, group, NAME)
                elif whole and unit.shapes.keys() & group.tensors.keys():
                    self.units.remove(unit)
                    self.groups.remove(group)
                    self.matches.misfits.append((unit, group))

    def by_sequence(self) -> None:
        """Match all that is left, one after the other, where each fits."""
        if len(self.units) == len(self.groups):
            pairs = list(zip(self.units, self.groups, strict=True))
            if all(self._fits(*pair) for pair in pairs):
                alone = {id(units[0]) for units, _ in self._components() if len(units) == 1}
                for unit, group in pairs:
                    self._pair(unit, group, SHAPE if id(unit) in alone else ORDER)

    def by_shape(self) -> bool:
        """Match a unit and a group that fit only each other."""
        pairs = [
            (units[0], groups[0]) for units, groups in self._components() if len(units) == len(groups) == 1
        ]
        for unit, group in pairs:
            self._pair(unit, group, SHAPE)
        return bool(pairs)

    def by_structure(self) -> bool:
        """Match a normalization behind a layer with the group behind that layer's group."""
        by_path = {unit.path: unit for unit in self._all_units}
        for unit in self.units:
            before = by_path.get(unit.follows)
            if unit.kind != "BatchNorm" or before is None or id(before) not in self.found:
                continue
            group = self._behind(self.found[id(before)][0])
            if group is not None and self._fits(unit, group):
                self._pair(unit, group, STRUCTURE)
                return True
        return False

    def _behind(self, group: Group) -> Group | None:
        if self._in_order:
            number = self._all_groups.index(group) + 1
            found = self._all_groups[number : number + 1]
        else:
            names = _names_behind(group.path)
            found = [one for one in self._all_groups if one.path in names]
        return found[0] if len(found) == 1 and found[0] in self.groups else None

    def by_order(self) -> bool:
        """Match units and groups of the same shapes in their order, where there are as many of both."""
        for units, groups in self._components():
            pairs = list(zip(units, groups, strict=False))
            counted = self._in_order or all(map(_is_before, groups, groups[1:]))
            if len(units) == len(groups) and counted and all(self._fits(*pair) for pair in pairs):
                for pair in pairs:
                    self._pair(*pair, ORDER)
                return True
        return False

    def _explain(self) -> None:
        """Say of the units that are left which groups they could take."""
        for units, groups in self._components():
            if groups:
                reason = (
                    f"{len(groups)} for {len(units)}"
                    if len(units) != len(groups)
                    else "and a file that is sorted by name does not say in which order"
                )
                text = (
                    f"{_listed([one.path for one in units])} could take {_listed([one.path for one in groups])}, "
                    f"{reason}; mapping= says which"
                )
                self.matches.ambiguities.append((units, groups, text))

    def result(self) -> Matches:
        """Return what was found, in the order of the model."""
        self._explain()
        result = self.matches
        result.left_units = list(self.units)
        for unit in self._all_units:
            if id(unit) in self.found:
                group, how = self.found[id(unit)]
                result.pairs.append((unit, group, how))
        result.left_groups = list(self.groups)
        return result

    def _pair(self, unit: Unit, group: Group, how: str) -> None:
        self.found[id(unit)] = (group, how)
        self.units.remove(unit)
        self.groups.remove(group)

    def _components(self) -> list[tuple[list[Unit], list[Group]]]:
        return list(self._fits.components(self.units, self.groups))


def _names_of(group: Group) -> list[str]:
    """Return what a mapping may call a group: its path, with a wrapper's prefix too, or the name of its tensor."""
    keys = [key for keys in group.keys.values() for key in keys]
    own = {key.rpartition(".")[0] for key in keys} if "" not in group.tensors else set(keys)
    return [group.path, *(own if len(own) == 1 else ())]


def _names_behind(path: str) -> set[str]:
    """Return what the normalization behind a layer may be called: `1` behind `0`, `bn2` behind `conv2`.

    Example:
        >>> sorted(_names_behind("features.3"))
        ['features.4']
    """
    parent, _, tail = path.rpartition(".")
    stem, number = _NUMBERED.fullmatch(tail).groups()  # type: ignore[union-attr]
    if not stem and number:
        names = {str(int(number) + 1)}
    else:
        names = {f"{norm}{number}" for norm in ("bn", "norm", "batchnorm", "batch_norm")}
        names |= {f"{stem}{norm}{number}" for norm in ("_bn", "_norm")}
    return {f"{parent}.{name}".lstrip(".") for name in names}


def _is_before(first: Group, second: Group) -> bool:
    """Say whether numbers in two names tell that the one comes before the other: `layer.2` and `layer.10` do."""
    for one, other in zip(first.path.split("."), second.path.split("."), strict=False):
        if one != other:
            (a, m), (b, n) = (_NUMBERED.fullmatch(part).groups() for part in (one, other))  # type: ignore[union-attr]
            return bool(a == b and n and int(m or 0) < int(n))
    return False


_NUMBERED = re.compile(r"(.*?)(\d*)")


def _parts(path: str) -> tuple[str, ...]:
    return tuple(part for part in re.split(r"[/._]+", path.lower()) if part)


def _last_part(path: str) -> tuple[str, ...]:
    return (re.split(r"[/.]", path.lower())[-1],)


def _says_something(key: tuple[str, ...]) -> bool:
    """Say whether a name is more than a number: `0.weight` and a layer called `0` mean nothing."""
    return len(key) > 1 or not key[-1].isdigit()


def _by_key(items: Sequence[Any], key_of: Callable[[str], tuple[str, ...]]) -> dict[tuple[str, ...], Any]:
    """Return the items whose key no other has."""
    keys = [key_of(item.path) for item in items]
    counts = Counter(keys)
    return {one: item for one, item in zip(keys, items, strict=True) if counts[one] == 1}


def _because(unit: Unit) -> str:
    return f": {unit.path} {unit.refusal}" if unit.refusal else ""


def _listed(names: Sequence[str], most: int = 6) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
