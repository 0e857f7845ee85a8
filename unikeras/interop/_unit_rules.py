"""The rule of each layer: what makes its units."""

from __future__ import annotations

from typing import Any

from keras import layers

from unikeras._keras.graph import is_graph
from unikeras.interop._attention_links import ATTENTION_RULES, split_attention
from unikeras.interop._convolution_links import CONVOLUTION_RULES
from unikeras.interop._dense_links import DENSE_RULES
from unikeras.interop._module_links import MODULE_RULES
from unikeras.interop._normalization_links import NORMALIZATION_RULES
from unikeras.interop._recurrent_links import RECURRENT_RULES
from unikeras.interop._weight_links import Link, Place, Rule, Unit

SPECTRAL = "spectral normalization keeps vectors of its own; take the layer out of its wrapper"


def _spectral_normalization(place: Place) -> list[Unit]:
    return [Unit(place.path, type(place.layer.layer).__name__, place.layer, refusal=SPECTRAL)]


def _time_distributed(place: Place) -> list[Unit]:
    inner = Place(place.path, place.layer.layer, place.follows, input_shape=(place.input_shape or ())[1:])
    return units_of(inner)


RULES: dict[type, Rule] = {
    **DENSE_RULES,
    **CONVOLUTION_RULES,
    **NORMALIZATION_RULES,
    **RECURRENT_RULES,
    **ATTENTION_RULES,
    **MODULE_RULES,
    layers.SpectralNormalization: _spectral_normalization,
    layers.TimeDistributed: _time_distributed,
}
# What they have adapted to is no weight: torch has it in its data pipeline.
WITHOUT_WEIGHTS = (layers.Normalization, layers.Discretization)


def has_rule(layer: Any) -> bool:
    """Say whether a rule knows the weights of a layer and of all layers inside it."""
    if isinstance(layer, layers.TimeDistributed):
        return not is_graph(layer.layer) and has_rule(layer.layer)
    return _rule_of(layer) is not None


def units_of(place: Place, split: bool = False) -> list[Unit]:
    """Return the units of a layer.

    Args:
        place: the layer.
        split: whether the projections of attention are units of their own, as in torch models that have no
            `nn.MultiheadAttention`.
    """
    layer = place.layer
    if isinstance(layer, WITHOUT_WEIGHTS):
        return []
    if split and isinstance(layer, layers.MultiHeadAttention):
        return [unit for part in split_attention(place) for unit in units_of(part)]
    rule = _rule_of(layer)
    units = [] if rule is None else rule(place)
    if any(unit.refusal for unit in units) or (rule is not None and rule in MODULE_RULES.values()):
        return units  # of a torch module: what is left are constants
    known = {id(variable) for unit in units for variable in unit.variables}
    own = own_variables(layer) if rule is None else layer.weights
    return [*units, *(_parameter(place, one) for one in own if id(one) not in known)]


def own_variables(layer: Any) -> list[Any]:
    """Return the weights of a layer that are not those of a layer inside it."""
    inner = layer._flatten_layers(include_self=False, recursive=False)
    theirs = {id(variable) for one in inner for variable in one.weights}
    return [variable for variable in layer.weights if id(variable) not in theirs]


def _parameter(place: Place, variable: Any) -> Unit:
    link = Link.of_one("", tuple(variable.shape), variable)
    return Unit(f"{place.path}/{variable.name}", "parameter", place.layer, (link,))


def _rule_of(layer: Any) -> Rule | None:
    return next((RULES[kind] for kind in type(layer).__mro__ if kind in RULES), None)
