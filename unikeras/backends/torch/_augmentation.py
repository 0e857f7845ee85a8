"""Augmentation layers that read numbers of tensors in Python, as they can be traced."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from keras.src.backend.torch import image
from torch import Tensor

from unikeras._keras import hooks
from unikeras._keras.patched import patched

_is_tracing: Callable[[], bool] = bool


def install(is_tracing: Callable[[], bool]) -> None:
    """Let the layers crop and blur without numbers of tensors wherever a program is traced.

    Args:
        is_tracing: says whether this thread traces a program at the moment.
    """
    global _is_tracing
    _is_tracing = is_tracing
    hooks.use("keras.layers.RandomCrop.transform_images", _cropping)
    hooks.use("keras.src.backend.torch.image.gaussian_blur", _blurring)


def _cropping(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method that selects rows and columns by tensors, where Keras slices by their numbers."""

    @functools.wraps(original)
    def transform_images(self: Any, images: Any, transformation: Any, training: bool = True) -> Any:
        if not (_is_tracing() and training and all(isinstance(start, Tensor) for start in transformation)):
            return original(self, images, transformation, training)
        images = self.backend.cast(images, self.compute_dtype)
        axes = (self.height_axis, self.width_axis)
        for axis, start, size in zip(axes, transformation, (self.height, self.width), strict=True):
            images = images.index_select(axis, start + torch.arange(size, device=start.device))
        return images

    return transform_images


def _blurring(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that keeps the size of the kernel as numbers, where Keras makes a tensor of them."""

    @functools.wraps(original)
    def gaussian_blur(
        images: Any, kernel_size: Any = (3, 3), sigma: Any = (1.0, 1.0), data_format: Any = None
    ) -> Any:
        if not _is_tracing() or isinstance(kernel_size, Tensor):
            return original(images, kernel_size, sigma, data_format)

        def keep(convert: Callable[..., Any]) -> Callable[..., Any]:
            return lambda value, *args: value if value is kernel_size else convert(value, *args)

        with patched(image, "convert_to_tensor", keep):
            return original(images, kernel_size, sigma, data_format)

    return gaussian_blur
