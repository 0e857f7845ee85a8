"""Models of half precision, for formats that lack the operators."""

from __future__ import annotations

from typing import Any

HALF = ("float16", "bfloat16")


def in_float32(model: Any) -> Any:
    """Return a model that computes in float32: few operators of LiteRT, and of onnxruntime, take half of the digits.

    Args:
        model: a Keras model; a subclassed one is returned as it is.
    """
    import keras

    from unikeras._keras.classes import Functional

    halves = [layer for layer in model._flatten_layers() if getattr(layer, "compute_dtype", None) in HALF]
    if not halves or not isinstance(model, keras.Sequential | Functional):
        return model
    config = _without_policies(keras.saving.serialize_keras_object(model))
    whole = keras.saving.deserialize_keras_object(config, safe_mode=False)
    whole.set_weights([weight.astype("float32") for weight in model.get_weights()])
    return whole


def _without_policies(config: Any) -> Any:
    """Return a saved config in which every dtype policy is float32; inputs keep their dtypes."""
    if isinstance(config, list):
        return [_without_policies(item) for item in config]
    if not isinstance(config, dict):
        return config
    if config.get("class_name") == "DTypePolicy":
        return {**config, "config": {**config["config"], "name": "float32"}}
    return {key: _without_policies(value) for key, value in config.items()}
