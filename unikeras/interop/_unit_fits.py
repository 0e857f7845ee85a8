"""Which units of a Keras model accept which groups of a state_dict."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

from unikeras.interop._attention_links import PROJECTIONS
from unikeras.interop._module_groups import Group, projection_of
from unikeras.interop._weight_links import Unit

SPLIT = tuple(f"/{name}" for name in PROJECTIONS)


class Fits:
    """Says what fits, by names and shapes; a projection of attention takes only one of its kind.

    Units of equal shapes are asked once: large models have many.

    Args:
        units: those of the Keras model.
        groups: those of the state_dict.
    """

    def __init__(self, units: Sequence[Unit], groups: Sequence[Group]) -> None:
        self._has_projections = any(projection_of(group.path) is not None for group in groups)
        self._kinds: dict[int, Hashable] = {id(unit): _kind_of_unit(unit) for unit in units}
        self._kinds.update((id(group), _kind_of_group(group)) for group in groups)
        self._known: dict[tuple[Hashable, Hashable], bool] = {}

    def __call__(self, unit: Unit, group: Group) -> bool:
        kinds = self._kinds[id(unit)], self._kinds[id(group)]
        if kinds not in self._known:
            self._known[kinds] = unit.accepts(group.tensors) and self._is_same_part(unit, group)
        return self._known[kinds]

    def _is_same_part(self, unit: Unit, group: Group) -> bool:
        if not self._has_projections or not unit.path.endswith(SPLIT):
            return True
        return projection_of(unit.path) == projection_of(group.path)

    def components(
        self, units: Sequence[Unit], groups: Sequence[Group]
    ) -> Iterator[tuple[list[Unit], list[Group]]]:
        """Yield the units and groups that a chain of fits joins; none of a component fits one of another."""
        one_of_units = {self._kinds[id(unit)]: unit for unit in units}
        one_of_groups = {self._kinds[id(group)]: group for group in groups}
        while one_of_units:
            found_units, found_groups = {next(iter(one_of_units))}, set[Hashable]()
            while True:
                more = {
                    kind
                    for kind, group in one_of_groups.items()
                    if kind not in found_groups and any(self(one_of_units[one], group) for one in found_units)
                }
                found_groups |= more
                others = {
                    kind
                    for kind, unit in one_of_units.items()
                    if kind not in found_units and any(self(unit, one_of_groups[one]) for one in more)
                }
                found_units |= others
                if not others:
                    break
            yield (
                [unit for unit in units if self._kinds[id(unit)] in found_units],
                [group for group in groups if self._kinds[id(group)] in found_groups],
            )
            for kind in found_units:
                del one_of_units[kind]


def _kind_of_unit(unit: Unit) -> Hashable:
    """Return what decides which groups fit."""
    part = projection_of(unit.path) if unit.path.endswith(SPLIT) else ""
    constants = tuple((name, shape) for name, (shape, _) in unit.constants.items())
    return bool(unit.refusal), part, tuple(unit.shapes.items()), constants, tuple(unit.ignored)


def _kind_of_group(group: Group) -> Hashable:
    shapes = sorted((name, array.shape) for name, array in group.tensors.items())
    return projection_of(group.path), tuple(shapes)
