"""Folders of pictures: one sub-folder a class, or masks beside."""

from __future__ import annotations

import os
import warnings
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unikeras._base.printable import printable
from unikeras.data._counts import check_count
from unikeras.data._data_source import Source
from unikeras.data._folder_listing import (
    check_classes,
    class_names,
    folder_at,
    pictures_in,
    pictures_with_masks,
)
from unikeras.data._images import MAX_PIXELS, SUFFIXES, check_channels, check_errors, decode, read_mask
from unikeras.data._made_sources import source_of
from unikeras.data._origins import Origin
from unikeras.data.transforms import Example, Resize
from unikeras.data.transforms._ranges import check_size
from unikeras.errors import ArgumentValueError, DatasetError

_VERIFYING_THREADS = 4


def from_folder(
    path: str | os.PathLike[str],
    size: int | tuple[int, int] | None = None,
    *,
    channels: int | None = 3,
    classes: Sequence[str] | bool | None = None,
    masks: str | os.PathLike[str] | None = None,
    interpolation: str = "bilinear",
    crop_to_aspect_ratio: bool = False,
    errors: str = "raise",
    max_pixels: int = MAX_PIXELS,
) -> Source:
    """Return a source of the pictures in a folder: one sub-folder a class, or with a mask for each.

    Files are in the order of their names; hidden files and folders, `__MACOSX`, and files without a picture's suffix
    are left out, and so are links that lead out of the folder, with a warning. Folders inside a class belong to it.

    Args:
        path: the folder.
        size: (height, width) in pixels that each picture is resized to, one number for both, or None for its own.
        channels: 1 (grey), 3 (RGB), 4 (RGBA), or None for what each file has.
        classes: the sub-folders that are classes, in the order of their numbers; None for all, by name; False for
            pictures without labels, from any depth.
        masks: where the mask of each picture is: a folder, in `path` or anywhere, that has the same names with any
            suffix; or a pattern for the names beside the pictures, such as `"*_mask"`, where `*` is the picture's name.
        interpolation: `"bilinear"` or `"nearest"`; a mask is always `"nearest"`.
        crop_to_aspect_ratio: whether the sides of a picture of another shape are cut off, and not squeezed.
        errors: what happens to a picture that cannot be read: `"raise"` is an error when its turn comes; `"skip"` reads
            all pictures once, here, leaves these out with one warning that lists them, and so keeps length and order.
        max_pixels: a picture that has more, by its header, is not decoded and counts as one that cannot be read.

    Returns:
        A source of (picture, label), (picture, mask) or picture. Pictures are uint8 of shape (height, width, channels),
        labels int32, masks uint8 or uint16 of shape (height, width, 1). Its `classes` are the names of the labels.

    Raises:
        ArgumentError: an argument is of another type.
        ArgumentValueError: an argument has another value.
        DatasetError: the folder is missing or cannot be listed; there are no pictures, or none of a class; there is one
            class only; a mask has no picture, or a picture no mask.
        MissingDependency: Pillow or OpenCV is not installed.

    Source: keras.utils.image_dataset_from_directory; torchvision.datasets.ImageFolder.

    Example:
        >>> import numpy as np, pathlib, PIL.Image, unikeras as uk
        >>> for name in ("cat", "dog"):
        ...     pathlib.Path("pets", name).mkdir(parents=True)
        ...     PIL.Image.fromarray(np.zeros((8, 9, 3), "uint8")).save(f"pets/{name}/1.png")
        >>> source = uk.data.from_folder("pets", size=(4, 4))
        >>> len(source), source.classes, source[1][0].shape
        (2, ('cat', 'dog'), (4, 4, 3))
    """
    check_errors(errors)
    check_channels(channels)
    check_count(max_pixels, "max_pixels")
    if masks is not None and classes is not None:
        raise ArgumentValueError("a picture has a mask or a label; give masks= or classes=, not both")
    resize = None
    if size is not None:
        resize = Resize(*check_size(size), interpolation, crop_to_aspect_ratio=crop_to_aspect_ratio)
    reading = Reading(resize, channels, max_pixels)
    root = folder_at(path)
    if masks is not None:
        files, mask_files = pictures_with_masks(root, masks)
        pictures = Pictures(root, reading, files, masks=mask_files)
    elif classes is False:
        pictures = Pictures(root, reading, pictures_in(root, root))
    else:
        names = class_names(root, classes)
        by_class = [pictures_in(root, root / name) for name in names]
        check_classes(root, names, by_class)
        files = [file for files in by_class for file in files]
        labels = np.repeat(np.arange(len(names), dtype=np.int32), [len(files) for files in by_class])
        pictures = Pictures(root, reading, files, labels=labels, classes=names)
    if not pictures.files:
        raise DatasetError(f"there are no pictures in {printable(str(root))} ({', '.join(sorted(SUFFIXES))})")
    return source_of(_without_unreadable(pictures) if errors == "skip" else pictures)


@dataclass(frozen=True)
class Reading:
    """How a picture is read."""

    resize: Resize | None
    channels: int | None
    max_pixels: int


class Pictures(Origin):
    """Pictures of a folder.

    Args:
        root: the folder.
        reading: how each is read.
        files: the pictures.
        labels: the number of each one's class, int32, shape (pictures,), or None.
        classes: the names of the classes, or None.
        masks: the mask of each picture, or None.
    """

    def __init__(
        self,
        root: Path,
        reading: Reading,
        files: Sequence[Path],
        *,
        labels: np.ndarray | None = None,
        classes: tuple[str, ...] | None = None,
        masks: Sequence[Path] | None = None,
    ) -> None:
        self.name = f"folder {printable(root.name)}"
        self.classes = classes
        self.root, self.files, self.masks = root, tuple(files), masks
        self._reading, self._labels = reading, labels

    def __len__(self) -> int:
        return len(self.files)

    def example(self, index: int) -> Any:
        resize, channels, max_pixels = self._reading.resize, self._reading.channels, self._reading.max_pixels
        # With a mask, the picture is decoded at its own size: a smaller one would not fit.
        size = (resize.height, resize.width) if resize and self.masks is None else None
        image = decode(self.files[index], channels=channels, max_pixels=max_pixels, at_least=size)
        mask = None if self.masks is None else read_mask(self.masks[index], max_pixels=max_pixels)
        try:
            example = Example(image, mask)
        except ArgumentValueError as error:
            raise DatasetError(f"cannot use {printable(str(self.files[index]))}: {error}") from error
        if resize is not None:
            example = resize.resized(example)
        if self._labels is not None:
            return example.image, self._labels[index]
        return example.image if mask is None else (example.image, example.mask)

    def labels(self) -> Any:
        return self._labels

    def identity(self) -> str:
        names = "\n".join(file.relative_to(self.root).as_posix() for file in self.files)
        data = names.encode("utf-8", "surrogateescape")
        return f"{len(self.files)} pictures {zlib.crc32(data):08x}, {self._reading}"

    def without(self, left_out: set[int]) -> Pictures:
        """Return the pictures that are not left out."""
        kept = [index for index in range(len(self.files)) if index not in left_out]
        return Pictures(
            self.root,
            self._reading,
            [self.files[index] for index in kept],
            labels=None if self._labels is None else self._labels[kept],
            classes=self.classes,
            masks=None if self.masks is None else [self.masks[index] for index in kept],
        )


def _without_unreadable(pictures: Pictures) -> Pictures:
    """Read all pictures once and leave out those that cannot be read, with one warning."""

    def reason(index: int) -> str | None:
        try:
            pictures.example(index)
        except DatasetError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(_VERIFYING_THREADS, thread_name_prefix="uk.data") as pool:
        reasons = list(pool.map(reason, range(len(pictures))))
    unreadable = {index: text for index, text in enumerate(reasons) if text is not None}
    if not unreadable:
        return pictures
    listed = "; ".join(text.removeprefix("cannot read ") for text in unreadable.values())
    warnings.warn(
        f"{len(unreadable)} of {len(pictures)} pictures cannot be read and are left out: {listed}",
        stacklevel=3,
    )
    kept = pictures.without(set(unreadable))
    if not kept.files:
        raise DatasetError(f"none of {len(pictures)} pictures in {printable(str(pictures.root))} can be read")
    if kept.classes is not None:
        counts = np.bincount(kept.labels(), minlength=len(kept.classes))
        check_classes(kept.root, kept.classes, [[Path()] * count for count in counts])
    return kept
