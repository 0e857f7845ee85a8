"""Settings in which a Keras layer differs from its torch module: they change numbers without an error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from unikeras.interop._activation_settings import differing_activations
from unikeras.interop._layer_places import Places
from unikeras.interop._module_groups import Group
from unikeras.interop._padding_settings import differing_padding
from unikeras.interop._weight_links import Place, Unit

Pair = tuple[Unit, Group, str]
NORMALIZATIONS = ("BatchNorm", "LayerNorm", "GroupNorm", "RMSNorm")
# What Keras takes where nobody says anything, and torch.
KERAS_EPSILON, TORCH_EPSILON = 1e-3, 1e-5


def differing_settings(pairs: Sequence[Pair], places: Places, modules: Sequence[Any]) -> list[str]:
    """Return a sentence for each setting that differs.

    Args:
        pairs: which units and groups belong together.
        places: those of the Keras model.
        modules: the settings of the torch module, from `lowering.settings_of`.
    """
    by_path = {module.path: module for module in modules}
    by_layer = {place.path: place for place in places.found}
    found: list[str] = []
    for unit, group, _ in pairs:
        module = by_path.get(_path_of(group), by_path.get(group.path))
        if module is None:
            continue
        for name, own, other in _differences(unit, by_layer.get(unit.path), places, module):
            found.append(f"{unit.path}: {name} is {own}; {module.path} of torch has {other}")
    return [*found, *differing_activations(places, modules)]


def assumed_settings(pairs: Sequence[Pair]) -> list[str]:
    """Return a sentence for the settings that a state_dict does not tell, where they are Keras' own defaults."""
    units = [
        unit
        for unit, _, _ in pairs
        if unit.kind in NORMALIZATIONS and _is_close(getattr(unit.layer, "epsilon", None), KERAS_EPSILON)
    ]
    if not units:
        return []
    names = ", ".join(unit.path for unit in units[:6]) + (
        f" and {len(units) - 6} more" if len(units) > 6 else ""
    )
    return [
        f"epsilon is {KERAS_EPSILON:g}, Keras' default, in {names}; torch's default is {TORCH_EPSILON:g}, and the "
        "state_dict does not say which the module has"
    ]


def _path_of(group: Group) -> str:
    key = next(iter(group.keys.values()))[0]
    return key.partition(".parametrizations.")[0].rpartition(".")[0] if "." in key else ""


def _differences(
    unit: Unit, place: Place | None, places: Places, module: Any
) -> Iterator[tuple[str, Any, Any]]:
    layer, settings = unit.layer, module.settings
    if unit.kind in NORMALIZATIONS:
        yield from _of_normalization(unit, settings)
    if unit.kind.startswith("Conv") and place is not None:
        yield from _of_convolution(layer, settings)
        if not unit.kind.startswith("ConvTranspose"):
            yield from differing_padding(layer, place, places, settings)
    if unit.kind == "MultiheadAttention":
        yield from _unequal("num_heads", layer.num_heads, settings.get("num_heads"))
        if settings.get("add_zero_attn"):
            yield "add_zero_attn", False, True
    if unit.kind in ("LSTM", "GRU", "RNN"):
        yield from _of_recurrence(unit, settings)
    if unit.kind == "Embedding" and settings.get("max_norm") is not None:
        yield "max_norm", None, settings["max_norm"]


def _of_normalization(unit: Unit, settings: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    layer = unit.layer
    if settings.get("eps") is not None and not _is_close(layer.epsilon, settings["eps"]):
        yield "epsilon", layer.epsilon, settings["eps"]
    if unit.kind == "BatchNorm" and "momentum" in settings:
        momentum = settings["momentum"]
        if momentum is None or not _is_close(1 - layer.momentum, momentum):
            yield "momentum", layer.momentum, f"{momentum}, which is {1 - (momentum or 0):g} here"
    if unit.kind == "GroupNorm" and "num_groups" in settings:
        yield from _unequal("groups", layer.groups, settings["num_groups"])


def _of_convolution(layer: Any, settings: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    rank = len(layer.kernel_size)
    for name, own in (("stride", layer.strides), ("dilation", layer.dilation_rate)):
        yield from _unequal(name, _per_axis(own, rank), settings.get(name, _per_axis(own, rank)))
    if settings.get("padding_mode", "zeros") != "zeros":
        yield "padding_mode", "zeros", settings["padding_mode"]


def _of_recurrence(unit: Unit, settings: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    cell = getattr(getattr(unit.layer, "forward_layer", unit.layer), "cell", unit.layer)
    activation = getattr(getattr(cell, "activation", None), "__name__", "")
    yield from _unequal("activation", activation, settings.get("nonlinearity", "tanh"))
    gate = getattr(getattr(cell, "recurrent_activation", None), "__name__", "sigmoid")
    yield from _unequal("recurrent_activation", gate, "sigmoid")


def _unequal(name: str, own: Any, other: Any) -> Iterator[tuple[str, Any, Any]]:
    if own != other:
        yield name, own, other


def _per_axis(value: Any, rank: int) -> tuple[int, ...]:
    return (value,) * rank if isinstance(value, int) else tuple(value)


def _is_close(one: float | None, other: float) -> bool:
    return one is not None and abs(one - other) <= 1e-6 * max(abs(one), abs(other))
