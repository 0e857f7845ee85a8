"""Layers of Keras as transforms."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from unikeras._keras.without_tensorflow import without_tensorflow
from unikeras.data.transforms import _affine, _colors, _crops, _mixing
from unikeras.data.transforms._transform import Transform
from unikeras.errors import ArgumentValueError


def is_layer(value: Any) -> bool:
    """Say whether a value is a layer of Keras, without importing it."""
    keras = sys.modules.get("keras")
    return keras is not None and hasattr(keras, "Layer") and isinstance(value, keras.Layer)


def transform_of(layer: Any) -> Transform:
    """Return the transform with the same meaning as one layer of Keras.

    Raises:
        ArgumentValueError: the layer, or one of its arguments, has no transform.
    """
    import keras

    name = type(layer).__name__
    make = _FROM.get(name)
    if make is None or type(layer) is not getattr(keras.layers, name, None):
        raise ArgumentValueError(
            f"{layer.name} of type {name} has no transform; put the layer into the model. Those that have one: "
            f"{', '.join(sorted(_FROM))}"
        )
    with without_tensorflow():
        config = layer.get_config()
    if config.get("data_format", "channels_last") != "channels_last":
        raise ArgumentValueError(
            f"{layer.name}: transforms take pictures with the channels last; put the layer into the model"
        )
    return make(layer, config)


def _fill_of(config: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of filling."""
    return {name: config[name] for name in ("fill_mode", "fill_value", "interpolation")}


def _ordered(factor: Any) -> Any:
    """Return a factor as Keras reads it: without regard to the order of its ends, or to the sign of one number."""
    if factor is None:
        return None
    return tuple(sorted(factor)) if isinstance(factor, tuple | list) else abs(factor)


def _rotation_from(layer: Any, config: dict[str, Any]) -> Transform:
    return _affine.RandomRotation(_ordered(config["factor"]), **_fill_of(config))


def _translation_from(layer: Any, config: dict[str, Any]) -> Transform:
    height, width = _ordered(config["height_factor"]), _ordered(config["width_factor"])
    return _affine.RandomTranslation(height, width, **_fill_of(config))


def _shear_from(layer: Any, config: dict[str, Any]) -> Transform:
    return _affine.RandomShear(_ordered(config["x_factor"]), _ordered(config["y_factor"]), **_fill_of(config))


def _zoom_from(layer: Any, config: dict[str, Any]) -> Transform:
    height, width = _ordered(config["height_factor"]), _ordered(config["width_factor"])
    return _affine.RandomZoom(height, width, **_fill_of(config))


def _resize_from(layer: Any, config: dict[str, Any]) -> Transform:
    if config["pad_to_aspect_ratio"]:
        raise ArgumentValueError(
            f"{layer.name}: pad_to_aspect_ratio has no transform; put the layer into the model"
        )
    return _crops.Resize(
        config["height"],
        config["width"],
        config["interpolation"],
        config["antialias"],
        config["crop_to_aspect_ratio"],
    )


def _contrast_from(layer: Any, config: dict[str, Any]) -> Transform:
    lower, upper = layer.factor
    return _colors.RandomContrast((-lower, upper), tuple(layer.value_range))


def _rescale_from(layer: Any, config: dict[str, Any]) -> Transform:
    if np.ndim(config["scale"]) or np.ndim(config["offset"]):
        raise ArgumentValueError(
            f"{layer.name}: Rescale takes one number for all channels; Normalize takes one for each"
        )
    return _colors.Rescale(float(config["scale"]), float(config["offset"]))


def _normalize_from(layer: Any, config: dict[str, Any]) -> Transform:
    import keras

    if config["invert"] or tuple(np.atleast_1d(layer.axis)) not in ((-1,), (3,)):
        raise ArgumentValueError(
            f"{layer.name}: only axis=-1 without invert has a transform; put the layer into the model"
        )
    mean, variance = layer.input_mean, layer.input_variance
    if mean is None:
        if layer.mean is None:
            raise ArgumentValueError(f"{layer.name} has no statistics yet; call its adapt(data) first")
        mean, variance = layer.mean, layer.variance
    mean, variance = (keras.ops.convert_to_numpy(each).astype("float64") for each in (mean, variance))
    std = np.maximum(np.sqrt(variance), keras.config.epsilon())
    return _colors.Normalize(
        *(each.item() if each.size == 1 else each.reshape(-1).tolist() for each in (mean, std))
    )


_FROM: dict[str, Callable[[Any, dict[str, Any]], Transform]] = {
    "RandomRotation": _rotation_from,
    "RandomTranslation": _translation_from,
    "RandomShear": _shear_from,
    "RandomZoom": _zoom_from,
    "RandomFlip": lambda layer, config: _affine.RandomFlip(config["mode"]),
    "Resizing": _resize_from,
    "CenterCrop": lambda layer, config: _crops.CenterCrop(config["height"], config["width"]),
    "RandomCrop": lambda layer, config: _crops.RandomCrop(config["height"], config["width"]),
    "RandomBrightness": lambda layer, _: _colors.RandomBrightness(
        tuple(layer.factor), tuple(layer.value_range)
    ),
    "RandomContrast": _contrast_from,
    "Rescaling": _rescale_from,
    "Normalization": _normalize_from,
    "MixUp": lambda layer, config: _mixing.MixUp(config["alpha"]),
    "CutMix": lambda layer, config: _mixing.CutMix(tuple(layer.factor)),
}
