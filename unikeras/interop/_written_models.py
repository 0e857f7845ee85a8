"""Keras models as modules of torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unikeras._base.optional import require
from unikeras.errors import ArgumentError
from unikeras.interop._arrangements import wants_channels_last
from unikeras.interop._layer_places import places_of

if TYPE_CHECKING:
    from unikeras.lowering import WrittenModule


def to_torch(model: Any, *, channels_first: bool = False) -> WrittenModule:
    """Return a Keras model, from any backend, as a `torch.nn.Module` that runs and trains without Keras.

    The module is of torch's own layers under the names of the Keras layers, with the weights in memory of its own:
    `load_state_dict` and `state_dict` of this room carry them back and forth bit for bit. Outputs and gradients are
    the model's; frozen layers stay frozen. In training, dropout draws torch's numbers, and a running variance is
    torch's unbiased one. Losses that layers add, such as `kernel_regularizer`, do not come along.

    Args:
        model: a built `keras.Sequential` or functional model. Where a layer computes in another dtype than it keeps
            its weights in (mixed precision), the module computes in that of the weights: torch's way is autocast.
        channels_first: whether images (inputs and outputs of rank 4 and 5) have their channels second, as torch's
            convolutions take them. False: as the model has them.

    Returns:
        A module in evaluation mode. Its forward takes one tensor for each input, under the input's name or its key,
        and returns a tensor, a tuple, or a dictionary, as the model does. `source` is its class as text, and
        `save_source` writes that into a file.

    Raises:
        CannotLower: layers have no counterpart; all of them are named, with reasons. `unikeras.lowering.register`
            says what stands for a layer of your own.
        ArgumentError: this is no Keras model.
        MissingDependency: torch is not installed.

    Source: torch.nn.Module, for what comes out.

    Example:
        >>> import keras, torch
        >>> import unikeras as uk
        >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="head")])
        >>> module = uk.interop.to_torch(model)
        >>> module(torch.zeros(4, 3)).shape, list(module.state_dict())
        (torch.Size([4, 2]), ['head.weight', 'head.bias'])
    """
    import keras

    if not isinstance(model, keras.Model):
        raise ArgumentError(f"to_torch takes a Keras model; received {type(model).__qualname__}")
    require("torch", "torch", "a torch module")
    from unikeras.lowering import to_module

    model = _in_one_dtype(model)
    orders: dict[int, tuple[Any, Any]] = {}
    for place in places_of(model).found if model.built else ():
        for layer in (place.layer, getattr(place.layer, "layer", None)):
            orders[id(layer)] = (place.order_in, place.order_out)
    return to_module(
        model, orders=orders, channels_first=channels_first, image_channels_last=wants_channels_last()
    )


def _in_one_dtype(model: Any) -> Any:
    """Return a model whose layers compute in the dtype of their weights, with the same weights."""
    import keras

    if all(layer.compute_dtype == layer.variable_dtype for layer in _layers(model)):
        return model

    def cloned(layer: Any) -> Any:
        return type(layer).from_config(_with_weights_dtype(layer.get_config()))

    clone = keras.models.clone_model(model, clone_function=cloned, recursive=True)
    clone.set_weights(model.get_weights())
    for ours, theirs in zip(clone.weights, model.weights, strict=True):
        ours.trainable = theirs.trainable
    for one, other in zip(_layers(clone), _layers(model), strict=True):
        if not other.trainable:
            one.trainable = False
    return clone


def _layers(model: Any) -> list[Any]:
    return list(model._flatten_layers())


def _with_weights_dtype(config: Any) -> Any:
    """Return a configuration in which mixed policies are those of the weights."""
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy" and str(config["config"]["name"]).startswith("mixed_"):
            return "float32"
        return {key: _with_weights_dtype(value) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return type(config)(map(_with_weights_dtype, config))
    return config
