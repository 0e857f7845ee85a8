"""The weights of normalizations: vectors, in the order of the features that they normalize."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import layers

from unikeras.interop._weight_links import Array, Link, Place, Rule, Shape, Unit, reordered, restored


def _vector(name: str, variable: Any, order: Array | None) -> tuple[Link, ...]:
    if variable is None:
        return ()
    link = Link.of_one(
        name, tuple(variable.shape), variable, lambda t: reordered(t, order), lambda v: restored(v, order)
    )
    return (link,)


def _constants(layer: Any, size: int) -> dict[str, tuple[Shape, float]]:
    """Return what torch's module has beyond the layer: a scale of ones, a center of zeros."""
    values = {"weight": ("gamma", 1.0), "bias": ("beta", 0.0)}
    return {
        name: ((size,), value) for name, (own, value) in values.items() if getattr(layer, own, None) is None
    }


def _order(place: Place) -> Array | None:
    return place.order_out if place.order_in is None else place.order_in


def _batch_normalization(place: Place) -> list[Unit]:
    layer, order = place.layer, _order(place)
    links = (
        *_vector("weight", getattr(layer, "gamma", None), order),
        *_vector("bias", getattr(layer, "beta", None), order),
        *_vector("running_mean", layer.moving_mean, order),
        *_vector("running_var", layer.moving_variance, order),
    )
    constants = _constants(layer, int(layer.moving_mean.shape[0]))
    ignored = {"num_batches_tracked": np.zeros((), np.int64)}
    return [Unit(place.path, "BatchNorm", layer, links, constants, ignored, place.follows)]


def _group_normalization(place: Place) -> list[Unit]:
    layer, order = place.layer, _order(place)
    links = (
        *_vector("weight", getattr(layer, "gamma", None), order),
        *_vector("bias", getattr(layer, "beta", None), order),
    )
    constants = _constants(layer, int(layer.weights[0].shape[0]))
    return [Unit(place.path, "GroupNorm", layer, links, constants, follows=place.follows)]


def _layer_normalization(place: Place) -> list[Unit]:
    layer = place.layer
    shape = tuple(layer.weights[0].shape)
    names = {"weight": layer.gamma, "bias": layer.beta}
    links: list[Link] = []
    for name, variable in names.items():
        if variable is not None and len(shape) > 1:
            links.append(_over_axes(name, variable, place))
        else:
            links += _vector(name, variable, _order(place))
    kind = "RMSNorm" if layer.rms_scaling else "LayerNorm"
    has_constants = len(shape) == 1 and not layer.rms_scaling
    constants = _constants(layer, int(shape[0])) if has_constants else {}
    return [Unit(place.path, kind, layer, tuple(links), constants, follows=place.follows)]


def _over_axes(name: str, variable: Any, place: Place) -> Link:
    """Return the link of a scale over several axes, which torch has in its own order of axes."""
    if place.input_shape is None:
        return Link.of_one(name, tuple(variable.shape), variable)
    rank = len(place.input_shape) + 1
    axes = place.axes or tuple(range(rank - 1))
    order = np.argsort([axes[axis % rank - 1] for axis in place.layer.axis])
    back = np.argsort(order)
    shape = tuple(int(variable.shape[axis]) for axis in order)
    return Link.of_one(name, shape, variable, lambda t: t.transpose(*back), lambda v: v.transpose(*order))


def _rms_normalization(place: Place) -> list[Unit]:
    links = _vector("weight", place.layer.scale, _order(place))
    return [Unit(place.path, "RMSNorm", place.layer, links, follows=place.follows)]


NORMALIZATION_RULES: dict[type, Rule] = {
    layers.BatchNormalization: _batch_normalization,
    layers.GroupNormalization: _group_normalization,
    layers.LayerNormalization: _layer_normalization,
    layers.RMSNormalization: _rms_normalization,
}
