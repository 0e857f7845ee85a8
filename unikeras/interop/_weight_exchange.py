"""The steps of an exchange of weights: places, matches, values, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from unikeras._specs.signature import numpy_dtype
from unikeras.errors import ArgumentError, ArgumentValueError
from unikeras.interop._differing_settings import assumed_settings, differing_settings
from unikeras.interop._layer_places import Places, places_of
from unikeras.interop._module_groups import groups_of, keeps_order
from unikeras.interop._unit_matches import Matches, match
from unikeras.interop._unit_rules import units_of
from unikeras.interop._weight_links import Array, Unit
from unikeras.interop._weights_report import WeightsReport, WeightsRow

Mapped = Mapping[str, str | None]
Shapes = Mapping[str, Sequence[int] | None]


def checked_places(model: Any, flatten: Shapes | None) -> Places:
    if not isinstance(model, keras.Layer):
        raise ArgumentError(f"weights are those of a Keras model; received {type(model).__qualname__}")
    if not model.built:
        raise ArgumentError(
            f"model {model.name!r} is not built; call it once on data, or begin it with keras.Input"
        )
    places = places_of(model, flatten)
    unknown = sorted(set(flatten or {}) - {place.path for place in places.found})
    if unknown:
        raise ArgumentValueError(
            f"flatten names {', '.join(unknown)}; the layers with weights are "
            f"{', '.join(place.path for place in places.found)}"
        )
    return places


def match_weights(places: Places, state: Mapping[str, Array], mapping: Mapped | None) -> Matches:
    mapping = {} if mapping is None else mapping
    if not isinstance(mapping, Mapping) or not all(
        isinstance(name, str) and isinstance(path, str | None) for name, path in mapping.items()
    ):
        raise ArgumentError(
            f"mapping= takes paths of layers, or None, by names of modules; received {mapping!r}"
        )
    groups = groups_of(state)
    split = not any(group.is_attention for group in groups)
    units = [unit for place in places.found for unit in units_of(place, split)]
    return match(units, groups, mapping, keeps_order(list(state)))


def loaded_values(found: Matches) -> tuple[list[tuple[Any, Array]], list[str]]:
    """Return the value of each variable, and what is wrong with them."""
    values, problems = [], []
    for unit, group, _ in found.pairs:
        for name, (_, constant) in unit.constants.items():
            if name in group.tensors and not (group.tensors[name] == constant).all():
                problems.append(
                    f"{unit.path} has no {name}, and that of {group.path} is not all {constant:g}"
                )
        for link in unit.links:
            arrays = link.load(*(np.asarray(group.tensors[name]) for name in link.tensors))
            for variable, array in zip(link.variables, arrays, strict=True):
                if array.shape != tuple(variable.shape):
                    problems.append(f"{unit.path}: {variable.path} is {variable.shape}, not {array.shape}")
                values.append((variable, _cast(array, variable, unit, problems)))
    return values, problems


def _cast(array: Array, variable: Any, unit: Unit, problems: list[str]) -> Array:
    dtype = numpy_dtype(str(variable.dtype))
    if array.dtype.kind in "ciub" and array.dtype.kind != dtype.kind:
        problems.append(f"{unit.path}: {variable.path} is of {dtype}, and takes no {array.dtype}")
        return array
    with np.errstate(over="ignore"):
        cast = array.astype(dtype)
    if dtype.itemsize < array.dtype.itemsize and np.isfinite(array).all() and not np.isfinite(cast).all():
        problems.append(f"{unit.path}: values of {variable.path} are too large for {dtype}")
    return np.ascontiguousarray(cast)


def report_of(
    model: Any, state: Mapping[str, Array], found: Matches, places: Places, module: Any
) -> WeightsReport:
    rows = []
    for unit, group, how in found.pairs:
        names = [key for name in group.tensors if name not in unit.ignored for key in group.keys[name]]
        rows.append(WeightsRow(unit.path, group.path, unit.kind, how, names, list(unit.notes)))
    ignored = [key for group in found.dropped for keys in group.keys.values() for key in keys]
    ignored += [
        key for unit, group, _ in found.pairs for name in unit.ignored for key in group.keys.get(name, ())
    ]
    used = [array for _, group, _ in found.pairs for array in group.tensors.values()]
    left: list[str] = []
    for group in [*found.left_groups, *(group for _, group in found.misfits)]:
        for name, array in group.tensors.items():
            is_counter = array.dtype.kind in "iub" and name not in ("weight", "bias")
            has_no_weights = is_counter or tied_to(array, used) is not None
            (ignored if has_no_weights and not group.refusal else left).extend(group.keys[name])
    return WeightsReport(
        model.name,
        rows,
        [unit.path for unit in [*found.left_units, *(unit for unit, _ in found.misfits)]],
        left,
        ignored,
        [*places.warnings, *_refusals(found), *_warnings(found, places, module)],
    )


def tied_to(array: Array, others: Sequence[Array]) -> int | None:
    """Return the number of the tensor that an array repeats under a second name: tied weights have two."""
    return next(
        (
            number
            for number, one in enumerate(others)
            if array.size > 1
            and array.shape == one.shape
            and array.dtype == one.dtype
            and np.array_equal(array, one)
        ),
        None,
    )


def _refusals(found: Matches) -> list[str]:
    """Return why some weights cannot be exchanged."""
    reasons = [
        f"{group.path or 'the module'} {group.refusal}" for group in found.left_groups if group.refusal
    ]
    return [*reasons, *(f"{unit.path} {unit.refusal}" for unit in found.left_units if unit.refusal)]


def _warnings(found: Matches, places: Places, module: Any) -> list[str]:
    if not callable(getattr(module, "named_modules", None)):
        return assumed_settings(found.pairs)
    from unikeras.lowering import settings_of

    return differing_settings(found.pairs, places, settings_of(module))


def problems_left(found: Matches, report: WeightsReport, strict: bool) -> list[str]:
    """Return what is wrong with what is left."""
    if not strict:
        return []
    problems = _refusals(found)
    problems += [f"{group} does not fit {unit}" for unit, group in found.misfits]
    problems += [text for *_, text in found.ambiguities]
    explained = {id(unit) for unit in found.left_units if unit.refusal}
    explained.update(id(one) for units, groups, _ in found.ambiguities for one in [*units, *groups])
    problems += [f"nothing fits {unit}" for unit in found.left_units if id(unit) not in explained]
    kept = set(report.left_in_state_dict)
    problems += [
        f"no layer takes {group}"
        for group in found.left_groups
        if not group.refusal
        and id(group) not in explained
        and kept.intersection(key for keys in group.keys.values() for key in keys)
    ]
    if problems and len(problems) > len(found.problems):
        problems.append("mapping= says what belongs together, and strict=False assigns what fits")
    return problems
