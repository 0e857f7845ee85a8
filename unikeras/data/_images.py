"""Pictures from files that may be broken or hostile: what is not read is named, with the reason."""

from __future__ import annotations

import os
import stat
from typing import Any

import numpy as np

from unikeras._base.optional import require
from unikeras._base.printable import printable
from unikeras.data._counts import check_count
from unikeras.data.transforms._ranges import check_size
from unikeras.data.transforms._warp import resize
from unikeras.errors import ArgumentError, ArgumentValueError, DatasetError

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
# Pillow opens others too, of which some run programs (EPS) or fetch fonts; these are pictures and nothing else.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
MAX_PIXELS = 2**26  # 67 megapixels: no camera's picture is refused, and 256 MB are the most that one takes

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_REDUCING_GAP = 2  # a JPEG may be decoded smaller, if at least twice as large as what is made of it


def read_image(
    path: str | os.PathLike[str],
    size: int | tuple[int, int] | None = None,
    *,
    channels: int | None = 3,
    dtype: str = "uint8",
    max_pixels: int = MAX_PIXELS,
) -> np.ndarray:
    """Read one picture, upright as its EXIF data says; of an animation, the first frame.

    Transparency is dropped where `channels` is 1 or 3; CMYK becomes RGB. 16-bit grey is divided by 257 for uint8, and
    8-bit values are multiplied with it for uint16. Pillow itself reads 16-bit colors as 8 bits.

    Args:
        path: a file in one of the formats BMP, GIF, JPEG, PNG, PPM, TIFF and WebP.
        size: (height, width) in pixels, one number for both, or None for the picture's own. A JPEG that is at least
            four times as large is decoded at a half, a quarter or an eighth first.
        channels: 1 (grey), 3 (RGB), 4 (RGBA), or None for what the file has.
        dtype: `"uint8"` or `"uint16"`.
        max_pixels: a picture that has more, by its header, is not decoded.

    Returns:
        The picture, shape (height, width, channels).

    Raises:
        ArgumentError: an argument is of another type.
        ArgumentValueError: an argument has another value.
        DatasetError: the file is missing, broken, truncated, too large or no picture; the message has its path.
        MissingDependency: Pillow or OpenCV is not installed.

    Source: keras.utils.load_img, which clips 16-bit values at 255.

    Example:
        >>> import numpy as np, PIL.Image, unikeras as uk
        >>> PIL.Image.fromarray(np.zeros((4, 6, 3), "uint8")).save("picture.png")
        >>> uk.data.read_image("picture.png", size=(2, 3)).shape
        (2, 3, 3)
    """
    target = None if size is None else check_size(size)
    image = decode(path, channels=channels, dtype=dtype, max_pixels=max_pixels, at_least=target)
    return image if target is None else resize(image, target)


def decode(
    path: Any,
    *,
    channels: int | None,
    dtype: str = "uint8",
    max_pixels: int,
    at_least: tuple[int, int] | None,
) -> np.ndarray:
    """Return what `read_image` does, before its resize.

    Args:
        path, channels, dtype, max_pixels: of `read_image`.
        at_least: height and width that the picture is resized to: a JPEG may be decoded smaller than it is, but at
            least twice as large as this. None for its own size.
    """
    check_channels(channels)
    if dtype not in ("uint8", "uint16"):
        raise ArgumentValueError(f"dtype has to be 'uint8' or 'uint16'; received {dtype!r}")
    return _read(path, max_pixels, lambda opened: _pixels(opened, channels, dtype), at_least)


def read_mask(path: str | os.PathLike[str], *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read one mask: the numbers that the file holds, and no colors.

    Args:
        path: a file with one channel or with a palette, whose numbers are the classes, and not its colors.
        max_pixels: a mask that has more, by its header, is not decoded.

    Returns:
        The mask, shape (height, width, 1), of uint8, or uint16 where the file has 16 bits.

    Raises:
        DatasetError: the file is missing, broken, truncated, too large or no picture, or has colors without a palette.
        MissingDependency: Pillow is not installed.

    Example:
        >>> import numpy as np, PIL.Image, unikeras as uk
        >>> PIL.Image.fromarray(np.array([[0, 3]], "uint8")).save("mask.png")
        >>> uk.data.read_mask("mask.png")[..., 0].tolist()
        [[0, 3]]
    """
    return _read(path, max_pixels, _classes, None)


def check_channels(channels: Any) -> None:
    """Refuse a number of channels that no picture has.

    Raises:
        ArgumentValueError: it is not 1, 3, 4 or None.
    """
    if channels not in (None, *_MODES) or isinstance(channels, bool):
        raise ArgumentValueError(f"channels has to be 1, 3, 4 or None; received {channels!r}")


def _read(path: Any, max_pixels: int, convert: Any, at_least: tuple[int, int] | None) -> np.ndarray:
    """Open a file with Pillow and convert what is in it."""
    if not isinstance(path, str | os.PathLike):
        raise ArgumentError(f"a path is needed; received {path!r:.60} of type {type(path).__name__}")
    check_count(max_pixels, "max_pixels")
    pil = require("PIL.Image", "data", "reading pictures")
    try:
        with os.fdopen(_open_regular(path), "rb") as file, pil.open(file, formats=FORMATS) as opened:
            pixels = opened.size[0] * opened.size[1]
            if pixels > max_pixels:
                raise DatasetError(f"{opened.size[0]} x {opened.size[1]} pixels are more than {max_pixels}")
            if at_least is not None:
                longest = _REDUCING_GAP * max(at_least)
                opened.draft(None, (longest, longest))
            require("PIL.ImageOps", "data", "reading pictures").exif_transpose(opened, in_place=True)
            image: np.ndarray = convert(opened)
            return image
    # A decoder meets broken data with whatever its code runs into.
    except (Exception, pil.DecompressionBombWarning) as error:
        raise DatasetError(f"cannot read {printable(os.fspath(path))}: {reason_of(error)}") from error


def _open_regular(path: str | os.PathLike[str]) -> int:
    # Without O_NONBLOCK, a pipe would wait for a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DatasetError("it is not a regular file")
    return descriptor


def reason_of(error: BaseException) -> str:
    """Return why a file was not read, in a few words."""
    name = type(error).__name__
    if name == "UnidentifiedImageError":  # its own message repeats the path, or an address in memory
        return f"it is no picture in one of the formats {', '.join(FORMATS)}"
    if name.startswith("DecompressionBomb"):
        return f"it has too many pixels: {error}"
    text = getattr(error, "strerror", None) or str(error)
    return printable(text if isinstance(error, DatasetError | OSError) and text else f"{name}: {text}")


def _pixels(opened: Any, channels: int | None, dtype: str) -> np.ndarray:
    """Return a picture's values with the channels asked for."""
    mode = opened.mode
    if mode.startswith("I;16") or (mode == "I" and opened.format == "PPM"):  # Pillow scales PPM to 16 bits
        grey = np.asarray(opened).astype(np.uint16)[..., None]
        return _with_channels(grey if dtype == "uint16" else _to_bytes(grey), channels or 1)
    if mode.startswith(("I", "F")):
        raise DatasetError(f"its pixels are 32-bit ({mode}); 8 and 16 bits are read")
    if channels is None:
        channels = 1 if mode in ("1", "L") else 4 if opened.has_transparency_data else 3
    if mode in ("P", "PA", "LA", "La", "RGBa"):
        opened = opened.convert("RGBA")  # Pillow cannot drop the transparency of a palette in one step
    if opened.mode != _MODES[channels]:
        opened = opened.convert(_MODES[channels])
    image = np.asarray(opened)
    image = image[..., None] if image.ndim == 2 else image
    return image.astype(np.uint16) * np.uint16(257) if dtype == "uint16" else image


def _classes(opened: Any) -> np.ndarray:
    if opened.mode == "1":
        return np.asarray(opened).astype(np.uint8)[..., None]
    if opened.mode in ("L", "P"):
        return np.asarray(opened)[..., None]
    if opened.mode.startswith("I;16"):
        return np.asarray(opened).astype(np.uint16)[..., None]
    raise DatasetError(
        f"a mask holds a class for each pixel, in one channel or in a palette; its pixels are {opened.mode}"
    )


def _to_bytes(values: np.ndarray) -> np.ndarray:
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _with_channels(grey: np.ndarray, channels: int) -> np.ndarray:
    if channels == 1:
        return grey
    colors = np.repeat(grey, channels, axis=-1)
    if channels == 4:
        colors[..., 3] = np.iinfo(grey.dtype).max
    return colors


def check_errors(errors: Any) -> str:
    """Return what to do about a file that cannot be read.

    Raises:
        ArgumentValueError: it is neither "raise" nor "skip".
    """
    if errors not in ("raise", "skip"):
        raise ArgumentValueError(f"errors has to be 'raise' or 'skip'; received {errors!r}")
    return str(errors)
