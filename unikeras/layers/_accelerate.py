"""A model over the same variables, with fused kernels in its recurrent layers."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from unikeras._keras.classes import DotNotTrackScope, Functional, untrack
from unikeras._keras.shared_cell import sharing
from unikeras._keras.without_tensorflow import without_tensorflow
from unikeras.errors import ArgumentError, ArgumentValueError
from unikeras.layers._recurrent_layers import FUSED

# Layers that hold others -> where.
_WRAPPERS: dict[type, tuple[str, ...]] = {
    layers.Bidirectional: ("forward_layer", "backward_layer"),
    layers.TimeDistributed: ("layer",),
}


def accelerate(model: Any) -> Any:
    """Return the same model with fused recurrent layers, over the very same variables.

    `keras.layers.LSTM` and `keras.layers.GRU` become `uk.layers.LSTM` and `uk.layers.GRU`, in nested models, in
    `Bidirectional` and `TimeDistributed` too; every other layer is the same object in both models. What trains one
    model trains the other, and weight files fit both. If the model is compiled, so is the result, with the same
    optimizer, losses and metrics.

    Args:
        model: a built Functional or Sequential `keras.Model`, or a `uk.Model` that is one.

    Returns:
        A model of the same class, names and weights; the model itself where it has no such layer.

    Raises:
        ArgumentError: it is no model, or is a subclass without a graph.
        ArgumentValueError: it has no weights yet.

    Example:
        >>> import keras, unikeras as uk
        >>> model = keras.Sequential([keras.Input((5, 3)), keras.layers.LSTM(4)])
        >>> fast = uk.accelerate(model)
        >>> type(fast.layers[0]) is uk.layers.LSTM, fast.weights[0] is model.weights[0]
        (True, True)
    """
    _check(model)
    return _Exchange().model(model)


def _check(model: Any) -> None:
    if not isinstance(model, keras.Model):
        raise ArgumentError(f"accelerate takes a keras.Model; received {type(model).__qualname__}")
    if not isinstance(model, Functional | keras.Sequential):
        raise ArgumentError(
            f"accelerate exchanges layers in a graph, and {type(model).__qualname__} computes in Python of its own: "
            "write uk.layers.LSTM and uk.layers.GRU in it where it has keras.layers.LSTM and GRU (weight files fit)"
        )
    if not model.built:
        raise ArgumentValueError(
            "accelerate shares weights, and the model has none yet: give it a keras.Input first"
        )


class _Exchange:
    """Layers and what takes their places, each made once: a layer may stand in several places."""

    def __init__(self) -> None:
        self._made: dict[int, Any] = {}

    def layer(self, layer: Any) -> Any:
        """Return what takes a layer's place: often the layer itself."""
        if id(layer) not in self._made:
            self._made[id(layer)] = self._exchange(layer)
        return self._made[id(layer)]

    def _exchange(self, layer: Any) -> Any:
        if type(layer) in FUSED and layer.built:
            return _fuse(layer)
        if type(layer) in _WRAPPERS:
            return self._wrapper(layer)
        if isinstance(layer, Functional | keras.Sequential) and layer.built:
            return self.model(layer)
        return layer

    def _wrapper(self, wrapper: Any) -> Any:
        inner = {name: self.layer(getattr(wrapper, name)) for name in _WRAPPERS[type(wrapper)]}
        if all(getattr(wrapper, name) is layer for name, layer in inner.items()):
            return wrapper
        with without_tensorflow():
            shared = type(wrapper).from_config(wrapper.get_config())
        for name, layer in inner.items():
            # Keras does not forget a part that is replaced.
            untrack(shared, getattr(shared, name))
            setattr(shared, name, layer)
        shared.trainable, shared.built = wrapper.trainable, wrapper.built
        return shared

    def model(self, model: Any) -> Any:
        """Return a model with layers exchanged; the model itself where nothing is to be exchanged."""
        before = model._layers
        after = [self.layer(layer) for layer in before]
        if all(old is new for old, new in zip(before, after, strict=True)):
            return model
        if isinstance(model, keras.Sequential):
            shared: Any = keras.Sequential(after, name=model.name)
        else:
            graph = Functional(model.input, model.output, name=model.name)  # a model that is not compiled
            shared = keras.models.clone_model(graph, clone_function=self.layer)
        shared.trainable = model.trainable
        return self._like(model, shared)

    def _like(self, model: Any, shared: Any) -> Any:
        """Give a model the class of another, what its user has set, and its optimizer, losses and metrics."""
        shared.__class__ = type(model)
        own = vars(model) | vars(model).get("_modules", {})  # torch keeps a module's parts by themselves
        for name, value in own.items():
            if not name.startswith("_") and not hasattr(shared, name):
                setattr(shared, name, self._made.get(id(value), value))
        if model.compiled:
            shared.compile(**model._compile_config.config)
        return shared


def _fuse(layer: Any) -> Any:
    """Return our layer over the cell, and the states, of Keras' one."""
    shared = sharing(layer, FUSED[type(layer)])
    shared.use_cudnn = layer.use_cudnn  # no part of the config
    with DotNotTrackScope():
        shared.states, shared._expected_batch_size = layer.states, layer._expected_batch_size
    return shared
