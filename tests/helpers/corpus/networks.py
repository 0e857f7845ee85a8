"""Networks as they are used, on small pictures."""

from __future__ import annotations

import functools

import keras


def _network(name):
    return getattr(keras.applications, name)(weights=None, input_shape=(64, 64, 3), classes=10)


MODELS = {name: functools.partial(_network, name) for name in ("MobileNetV3Small", "EfficientNetV2B0")}
