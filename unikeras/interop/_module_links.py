"""The weights of a torch module inside a Keras model: they have torch's own names and layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from unikeras.interop._module_layer import TorchModule
from unikeras.interop._weight_links import Array, Link, Place, Rule, Unit
from unikeras.interop._weights_report import WeightsRow


def _module(place: Place) -> list[Unit]:
    """Return a unit for each module inside it that has weights."""
    links: dict[str, list[Link]] = {}
    for name, variable in place.layer.saved_variables().items():
        path, _, leaf = name.rpartition(".")
        links.setdefault(path, []).append(Link.of_one(leaf, tuple(variable.shape), variable))
    return [
        Unit(
            "/".join([place.path, *path.split(".")] if path else [place.path]),
            "module",
            place.layer,
            tuple(own),
        )
        for path, own in links.items()
    ]


MODULE_RULES: dict[type, Rule] = {TorchModule: _module}


def take_named(
    places: Sequence[Place], state: Mapping[str, Array]
) -> tuple[list[tuple[Any, Array]], list[WeightsRow], list[Place], dict[str, Array]]:
    """Take the weights of torch modules that have their own names, with the layer's path before them or without.

    Returns:
        The value of each variable, a row for each layer, the other places, and the rest of the weights.
    """
    values: list[tuple[Any, Array]] = []
    rows, others, rest = [], [], dict(state)
    for place in places:
        taken = _named_in(place, rest) if isinstance(place.layer, TorchModule) else None
        if taken is None:
            others.append(place)
            continue
        variables = place.layer.named_variables
        values += [
            (variables[name], rest[key])
            for name, key in taken.items()
            if name in place.layer.saved_variables()
        ]
        rows.append(WeightsRow(place.path, "", "module", "name", list(taken.values())))
        rest = {key: value for key, value in rest.items() if key not in taken.values()}
    return values, rows, others, rest


def _named_in(place: Place, state: Mapping[str, Array]) -> dict[str, str] | None:
    """Return the key of each of the module's names; None where one is missing or has another shape."""
    saved, known = place.layer.saved_variables(), place.layer.named_variables
    for prefix in (f"{place.path.replace('/', '.')}.", ""):
        found = {name: prefix + name for name in known if prefix + name in state}
        fits = all(state[key].shape == tuple(known[name].shape) for name, key in found.items())
        if fits and found.keys() >= saved.keys():
            return found
    return None
