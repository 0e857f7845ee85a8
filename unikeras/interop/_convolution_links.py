"""The weights of convolutions: torch has the output channels first, Keras last."""

from __future__ import annotations

from typing import Any

from keras import layers

from unikeras.interop._weight_links import Array, Link, Place, Rule, Unit, changed_kernel

# Torch's (out, in / groups, size...) is Keras' (size..., in / groups, out); transposed, torch's (in, out, size...) is
# Keras' (size..., out, in).


def _reversed_link(kernel: Any) -> Link:
    rank = len(kernel.shape) - 2
    *sizes, before, last = kernel.shape
    return Link.of_one(
        "weight",
        (last, before, *sizes),
        kernel,
        lambda t: t.transpose(*range(2, rank + 2), 1, 0),
        lambda k: k.transpose(rank + 1, rank, *range(rank)),
    )


def _depthwise_link(kernel: Any) -> Link:
    *sizes, channels, multiplier = kernel.shape
    rank = len(sizes)

    def load(tensor: Array) -> Array:
        return tensor.reshape(channels, multiplier, *sizes).transpose(*range(2, rank + 2), 0, 1)

    def dump(value: Array) -> Array:
        return value.transpose(rank, rank + 1, *range(rank)).reshape(channels * multiplier, 1, *sizes)

    return Link.of_one("weight", (channels * multiplier, 1, *sizes), kernel, load, dump)


def _bias(variable: Any) -> tuple[Link, ...]:
    return () if variable is None else (Link.of_one("bias", tuple(variable.shape), variable),)


def _unit(place: Place, kind: str, kernel: Link, bias: Any) -> Unit:
    links = (kernel, *_bias(bias))
    return Unit(
        place.path, kind, place.layer, links, follows=place.follows, refusal=changed_kernel(place.layer)
    )


def _convolution(place: Place) -> list[Unit]:
    layer = place.layer
    return [_unit(place, f"Conv{len(layer.kernel_size)}d", _reversed_link(layer.kernel), layer.bias)]


def _transposed(place: Place) -> list[Unit]:
    layer = place.layer
    kind = f"ConvTranspose{len(layer.kernel_size)}d"
    return [_unit(place, kind, _reversed_link(layer.kernel), layer.bias)]


def _depthwise(place: Place) -> list[Unit]:
    layer = place.layer
    return [_unit(place, f"Conv{len(layer.kernel_size)}d", _depthwise_link(layer.kernel), layer.bias)]


def _separable(place: Place) -> list[Unit]:
    layer, kind = place.layer, f"Conv{len(place.layer.kernel_size)}d"
    first = Unit(
        f"{place.path}/depthwise",
        kind,
        layer,
        (_depthwise_link(layer.depthwise_kernel),),
        follows=place.follows,
    )
    links = (_reversed_link(layer.pointwise_kernel), *_bias(layer.bias))
    return [first, Unit(f"{place.path}/pointwise", kind, layer, links, follows=first.path)]


CONVOLUTION_RULES: dict[type, Rule] = {
    **dict.fromkeys((layers.Conv1D, layers.Conv2D, layers.Conv3D), _convolution),
    **dict.fromkeys((layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose), _transposed),
    **dict.fromkeys((layers.DepthwiseConv1D, layers.DepthwiseConv2D), _depthwise),
    **dict.fromkeys((layers.SeparableConv1D, layers.SeparableConv2D), _separable),
}
