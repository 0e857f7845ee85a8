"""Transforms of pictures on the host: picture, mask and boxes move together, and the same seed gives the same bytes."""

from unikeras.data.transforms._affine import (
    RandomFlip,
    RandomRotation,
    RandomShear,
    RandomTranslation,
    RandomZoom,
)
from unikeras.data.transforms._colors import (
    Function,
    Normalize,
    RandomBrightness,
    RandomChannelShift,
    RandomContrast,
    Rescale,
)
from unikeras.data.transforms._compose import Compose, RandomApply, check_transform, from_layer
from unikeras.data.transforms._crops import CenterCrop, RandomCrop, RandomResizedCrop, Resize
from unikeras.data.transforms._example import Example, example_of, target_of
from unikeras.data.transforms._image_data_generator import GeneratorTransforms, from_image_data_generator
from unikeras.data.transforms._keras_layers import is_layer as is_layer
from unikeras.data.transforms._mixing import BatchTransform, CutMix, MixUp
from unikeras.data.transforms._transform import Transform

__all__ = [
    "BatchTransform",
    "CenterCrop",
    "Compose",
    "CutMix",
    "Example",
    "Function",
    "GeneratorTransforms",
    "MixUp",
    "Normalize",
    "RandomApply",
    "RandomBrightness",
    "RandomChannelShift",
    "RandomContrast",
    "RandomCrop",
    "RandomFlip",
    "RandomResizedCrop",
    "RandomRotation",
    "RandomShear",
    "RandomTranslation",
    "RandomZoom",
    "Rescale",
    "Resize",
    "Transform",
    "check_transform",
    "example_of",
    "from_image_data_generator",
    "from_layer",
    "target_of",
]


def __dir__() -> list[str]:
    return sorted(__all__)
