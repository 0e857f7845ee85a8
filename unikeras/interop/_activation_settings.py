"""The activations of a Keras model, compared with those of a torch module, in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from unikeras.interop._layer_places import Places

# torch's class -> Keras' name, and the setting that decides
TORCH = {
    "CELU": ("celu", "alpha"),
    "ELU": ("elu", "alpha"),
    "GELU": ("gelu", "approximate"),
    "Hardsigmoid": ("hard_sigmoid", ""),
    "Hardswish": ("hard_silu", ""),
    "Hardtanh": ("hard_tanh", ""),
    "LeakyReLU": ("leaky_relu", "negative_slope"),
    "LogSigmoid": ("log_sigmoid", ""),
    "LogSoftmax": ("log_softmax", ""),
    "Mish": ("mish", ""),
    "PReLU": ("prelu", ""),
    "ReLU": ("relu", ""),
    "ReLU6": ("relu6", ""),
    "SELU": ("selu", ""),
    "SiLU": ("silu", ""),
    "Sigmoid": ("sigmoid", ""),
    "Softmax": ("softmax", ""),
    "Softplus": ("softplus", ""),
    "Softsign": ("softsign", ""),
    "Tanh": ("tanh", ""),
}
# Keras' layers that are nothing but an activation; the defaults of the functions of those names.
LAYERS = {"ELU": "elu", "LeakyReLU": "leaky_relu", "PReLU": "prelu", "ReLU": "relu", "Softmax": "softmax"}
DEFAULTS: dict[str, Any] = {"elu": 1.0, "leaky_relu": 0.2, "celu": 1.0, "gelu": "none"}

Activation = tuple[str, str, Any]


def differing_activations(places: Places, modules: Sequence[Any]) -> list[str]:
    """Return a sentence for each activation that differs; none where the two cannot be told to be the same ones.

    A torch module that calls functions, such as `F.relu`, shows fewer activations than it has.
    """
    own = list(_of_keras(places))
    theirs = [
        (module.path, name, module.settings.get(setting))
        for module in modules
        if module.is_activation and module.kind in TORCH
        for name, setting in (TORCH[module.kind],)
    ]
    if len(own) != len(theirs):
        kinds = ("leaky_relu", "elu")
        own, theirs = ([one for one in side if one[1] in kinds] for side in (own, theirs))
        if [one[1] for one in own] != [one[1] for one in theirs]:
            return []
    return [
        f"{path}: activation is {_shown(name, value)}; {other} of torch is {_shown(kind, setting)}"
        for (path, name, value), (other, kind, setting) in zip(own, theirs, strict=True)
        if (name, value) != (kind, setting)
    ]


def _shown(name: str, setting: Any) -> str:
    return name if setting is None else f"{name}({setting})"


def _of_keras(places: Places) -> Iterator[Activation]:
    for path, node in places.nodes:
        layer = node.operation
        kind = type(layer).__name__
        if kind in LAYERS:
            yield _of_layer(path, LAYERS[kind], layer)
        elif hasattr(layer, "activation") and not hasattr(layer, "cell"):
            name = getattr(layer.activation, "__name__", "linear")
            if name != "linear":
                yield path, name, DEFAULTS.get(name)


def _of_layer(path: str, name: str, layer: Any) -> Activation:
    if name == "relu":
        if layer.max_value is not None and not layer.negative_slope and not layer.threshold:
            return path, "relu6" if layer.max_value == 6 else f"relu up to {layer.max_value:g}", None
        return (
            (path, "leaky_relu", float(layer.negative_slope))
            if layer.negative_slope
            else (path, "relu", None)
        )
    setting = {"leaky_relu": "negative_slope", "elu": "alpha"}.get(name)
    value = None if setting is None else float(getattr(layer, setting))
    return path, name, value
