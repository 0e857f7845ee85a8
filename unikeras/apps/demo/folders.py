"""A data set from a folder of images: one subfolder per class, the usual layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from unikeras.apps.demo.dataset import Array, Dataset, Split, divide
from unikeras.errors import DatasetError

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
SIDE = 32  # pixels: what the demo's small network can learn from in seconds
LEAST = 3  # images of a class: one each for training, validation and test


def read(folder: Path) -> Dataset:
    """Read a folder with one subfolder of images per class, each image resized to `SIDE` x `SIDE`, RGB.

    Hidden files and files without an image suffix are skipped.

    Args:
        folder: the sorted names of its subfolders are the classes.

    Raises:
        DatasetError: there are fewer than two classes, a class has fewer than `LEAST` images, or images
            cannot be read; the message names them.
    """
    from PIL.Image import DecompressionBombError

    classes = _classes(folder)
    labels = np.repeat(np.arange(len(classes), dtype="int32"), [len(paths) for paths in classes.values()])
    images, unreadable = [], []
    for path in (path for paths in classes.values() for path in paths):
        try:
            images.append(_image(path))
        except (OSError, ValueError, SyntaxError, DecompressionBombError) as error:
            unreadable.append(f"{path} ({_reason(error)})")
    if unreadable:
        shown = "; ".join(unreadable[:3]) + ("; ..." if len(unreadable) > 3 else "")
        raise DatasetError(
            f"{len(unreadable)} of {len(labels)} images cannot be read: {shown}; repair or remove them"
        )
    return divide(folder.name or "images", tuple(classes), 255, Split(np.stack(images), labels))


def _classes(folder: Path) -> dict[str, list[Path]]:
    """Return the image files of each class, or raise one error that lists all problems."""
    expected = "expected one sub-folder of images per class, as in flowers/rose/1.jpg and flowers/tulip/1.jpg"
    try:
        rooms = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
        classes = {room.name: _images(room) for room in rooms}
    except OSError as error:
        raise DatasetError(f"cannot read {folder}: {error.strerror}; {expected}") from error
    if not any(classes.values()):
        raise DatasetError(f"no images in the sub-folders of {folder}; {expected}")
    few = [f"{name}/ holds {len(paths)}" for name, paths in classes.items() if len(paths) < LEAST]
    if few:
        raise DatasetError(
            f"each class of {folder} needs at least {LEAST} images (to train, to choose, to test): "
            f"{', '.join(few)}; add images ({', '.join(sorted(SUFFIXES))}) or remove the sub-folder"
        )
    if len(classes) < 2:
        raise DatasetError(f"{folder} holds only one class, {', '.join(classes)}; at least two are needed")
    return classes


def _images(room: Path) -> list[Path]:
    return sorted(
        path for path in room.iterdir() if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    )


def _reason(error: Exception) -> str:
    if type(error).__name__ == "UnidentifiedImageError":  # its own message repeats the whole path
        return "not an image"
    return getattr(error, "strerror", None) or str(error)


def _image(path: Path) -> Array:
    """Return one image, (SIDE, SIDE, 3) of uint8, rotated as its EXIF data says."""
    from PIL import Image, ImageOps

    with Image.open(path) as opened:
        # Pillow clips 16-bit and float pixels at 255 instead of scaling them.
        if opened.mode.startswith(("I", "F")):
            raise ValueError(f"its pixels are {opened.mode}, only 8 bits per channel are read")
        # Through RGBA: Pillow cannot convert a palette with transparency to RGB directly.
        image = ImageOps.exif_transpose(opened).convert("RGBA").convert("RGB")
    return np.asarray(image.resize((SIDE, SIDE)))
