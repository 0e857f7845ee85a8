"""The weights of a model, its gradients and its activations, as histograms and pictures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from unikeras.callbacks._layer_values import activations, gradients
from unikeras.callbacks._summaries import numpy_of
from unikeras.callbacks._summary_writer import SummaryWriter

# More would be no picture to look at, and a large file.
_LARGEST_IMAGE = 2**22


def add_weights(writer: SummaryWriter, model: Any, step: int, as_images: bool) -> None:
    """Add a histogram, and where asked a picture, of each weight, under Keras' names."""
    for path, weight in _by_path(model.weights):
        values = numpy_of(weight, path)
        writer.add_histogram(f"{path}/histogram", values, step)
        pixels = _pixels(values) if as_images else None
        if pixels is not None:
            writer.add_images(f"{path}/image", pixels, step, dataformats="NHWC")


def add_gradients(writer: SummaryWriter, model: Any, sample: Any, step: int) -> None:
    """Add a histogram of the gradient of each trainable variable."""
    for path, gradient in gradients(model, sample).items():
        writer.add_histogram(f"{path}/gradient", _dense(gradient), step)


def add_activations(writer: SummaryWriter, model: Any, sample: Any, step: int) -> None:
    """Add a histogram of what each layer computes."""
    for path, output in activations(model, sample).items():
        writer.add_histogram(f"{path}/activation", _dense(output), step)


def _by_path(weights: Any) -> Iterator[tuple[str, Any]]:
    """Yield each weight once, under a path of its own."""
    seen: dict[str, int] = {}
    for weight in {id(weight): weight for weight in weights}.values():
        path = weight.path.replace(":", "_")
        seen[path] = seen.get(path, 0) + 1
        yield (path if seen[path] == 1 else f"{path}_{seen[path] - 1}"), weight


def _dense(tensor: Any) -> Any:
    """Return the values of a tensor; of rows of an embedding's gradient, the rows."""
    return getattr(tensor, "values", tensor) if not callable(getattr(tensor, "values", None)) else tensor


def _pixels(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
    """Return a weight as pictures of shape (n, height, width, channels) in 0..1, laid out as Keras does; None where
    it has none.
    """
    pixels = np.squeeze(values).astype("float32")
    if not 0 < pixels.size <= _LARGEST_IMAGE or not np.isfinite(pixels).all():
        return None
    low, high = pixels.min(), pixels.max()
    pixels = (pixels - low) / (high - low) if high > low else np.zeros_like(pixels)
    if pixels.ndim <= 1:
        return pixels.reshape(1, 1, -1, 1)
    if pixels.ndim == 2:
        return (pixels if pixels.shape[0] <= pixels.shape[1] else pixels.T)[None, :, :, None]
    if pixels.ndim == 3:  # filters of one channel
        return pixels.transpose(2, 0, 1)[..., None]
    if pixels.ndim == 4 and pixels.shape[2] in (1, 3):  # filters of a convolution on pictures
        return pixels.transpose(3, 0, 1, 2)
    return None
