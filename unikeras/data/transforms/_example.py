"""One example of pictures: what moves together under a transform."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from unikeras.data.transforms._ranges import LONGEST_SIDE
from unikeras.errors import ArgumentError, ArgumentValueError, DatasetError

# What OpenCV's kernels read; other floats become float32.
DTYPES = ("uint8", "uint16", "float32")


@dataclass(frozen=True)
class Example:
    """A picture and what belongs to it.

    Args:
        image: shape (height, width, channels) or (height, width), of uint8, uint16 or floats. A picture without a
            channel axis gets one; floats become float32.
        mask: a class for each pixel, integers or booleans, shape (height, width) or (height, width, channels).
        boxes: shape (boxes, 4): x1, y1, x2, y2 in pixels from the upper left corner, where the left edge of the first
            pixel is 0 and the right edge of the last is the width. They become float32.
        box_labels: one row for each box; they leave with their boxes.
        label: what belongs to the whole picture; transforms of one example do not look at it.

    Raises:
        ArgumentError: a dtype or a shape is not one of these.
        ArgumentValueError: the picture is empty or too large, a mask has another size, or a box ends before it begins.

    Example:
        >>> Example(np.zeros((2, 3), "uint8")).image.shape
        (2, 3, 1)
    """

    image: np.ndarray
    mask: np.ndarray | None = None
    boxes: np.ndarray | None = None
    box_labels: np.ndarray | None = None
    label: Any = None

    def __post_init__(self) -> None:
        image = _check_image(self.image)
        object.__setattr__(self, "image", image)
        if self.mask is not None:
            object.__setattr__(self, "mask", _check_mask(self.mask, image.shape[:2]))
        if self.boxes is not None:
            object.__setattr__(self, "boxes", _check_boxes(self.boxes))
        if self.box_labels is not None:
            labels = _to_array("box_labels", self.box_labels)
            if self.boxes is None or labels.ndim == 0 or len(labels) != len(self.boxes):
                count = "no boxes" if self.boxes is None else f"{len(self.boxes)} boxes"
                raise ArgumentValueError(
                    f"box_labels of shape {labels.shape} do not fit {count}; one row a box is needed"
                )
            object.__setattr__(self, "box_labels", labels)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.image.shape[0], self.image.shape[1]

    def with_boxes(self, boxes: np.ndarray, size: tuple[int, int]) -> Example:
        """Return the example with moved boxes: clipped to a picture, and without those that are outside of it.

        Args:
            boxes: shape (boxes, 4), in the order of the present ones.
            size: height and width of the new picture in pixels.

        Returns:
            The example with the boxes that are left, and their labels.
        """
        height, width = size
        clipped = np.clip(boxes, 0, [width, height, width, height]).astype(np.float32)
        inside = (clipped[:, 2] > clipped[:, 0]) & (clipped[:, 3] > clipped[:, 1])
        labels = None if self.box_labels is None else self.box_labels[inside]
        return replace(self, boxes=clipped[inside], box_labels=labels)


def _to_array(name: str, value: Any) -> np.ndarray:
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ArgumentError(f"{name} cannot be made an array: {error}") from error


def _check_image(image: Any) -> np.ndarray:
    image = _to_array("a picture", image)
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3:
        raise ArgumentError(f"a picture has the shape (height, width, channels); received {image.shape}")
    if not all(image.shape):
        raise ArgumentValueError(f"a picture of shape {image.shape} is empty")
    if max(image.shape[:2]) > LONGEST_SIDE:
        raise ArgumentValueError(
            f"a picture of shape {image.shape} has more than {LONGEST_SIDE} pixels on a side"
        )
    if image.dtype.kind == "f":
        return image.astype(np.float32, copy=False)
    if image.dtype.name not in DTYPES:
        raise ArgumentError(
            f"a picture has the dtype uint8, uint16 or float32; received {image.dtype}; convert it with .astype"
        )
    return image


def _check_mask(mask: Any, size: tuple[int, ...]) -> np.ndarray:
    mask = _to_array("a mask", mask)
    if mask.dtype.kind not in "buif" or mask.ndim not in (2, 3):
        raise ArgumentError(
            f"a mask holds numbers in the shape (height, width) or (height, width, channels); received "
            f"{mask.dtype} of shape {mask.shape}"
        )
    if mask.shape[:2] != size or not all(mask.shape):
        raise ArgumentValueError(
            f"a mask of shape {mask.shape} does not fit a picture of {size[0]} x {size[1]} pixels"
        )
    return mask


def _check_boxes(boxes: Any) -> np.ndarray:
    boxes = _to_array("boxes", boxes)
    if boxes.size == 0:
        boxes = boxes.reshape(-1, 4) if boxes.ndim == 2 and boxes.shape[1] == 4 else np.zeros((0, 4))
    if boxes.ndim != 2 or boxes.shape[1] != 4 or boxes.dtype.kind not in "iuf":
        raise ArgumentError(
            f"boxes are numbers of shape (boxes, 4); received {boxes.dtype} of shape {boxes.shape}"
        )
    if not np.isfinite(boxes).all() or (boxes[:, :2] > boxes[:, 2:]).any():
        raise ArgumentValueError(
            "a box is x1, y1, x2, y2, finite, with x1 <= x2 and y1 <= y2; received another order"
        )
    return boxes.astype(np.float32)


# Keys of a `y` that is a dict, as Keras and torchvision name them, and the parts that they stand for.
KEYS = {
    "mask": "mask",
    "masks": "mask",
    "segmentation_masks": "mask",
    "boxes": "boxes",
    "labels": "box_labels",
    "label": "label",
}


def example_of(x: Any, y: Any = None) -> Example:
    """Return the example that an element `x`, `(x, y)` of a source stands for.

    A `y` of the height and width of the picture is its mask. A dict may hold `mask`, `boxes`, `labels` (one for each
    box) and `label`. Every other `y` is a label, which moves with nothing.

    Args:
        x: a picture.
        y: what belongs to it.

    Returns:
        The example.

    Raises:
        DatasetError: a dict has other keys beside boxes or masks.

    Example:
        >>> import numpy as np
        >>> picture = np.zeros((4, 6, 3), "uint8")
        >>> example_of(picture, 7).label, example_of(picture, np.ones((4, 6), "uint8")).mask.shape
        (7, (4, 6))
    """
    if not isinstance(y, dict) or not {"boxes", "mask", "masks", "segmentation_masks"} & y.keys():
        array = y if isinstance(y, np.ndarray) else None
        is_mask = array is not None and array.ndim in (2, 3) and array.shape[:2] == np.shape(x)[:2]
        return Example(x, mask=array) if is_mask else Example(x, label=y)
    unknown = [key for key in y if key not in KEYS]
    if unknown:
        raise DatasetError(
            f"a picture's y has the keys {', '.join(KEYS)}; received {', '.join(map(repr, unknown))}"
        )
    return Example(x, **{KEYS[key]: value for key, value in y.items()})


def target_of(example: Example, y: Any) -> Any:
    """Return the `y` of an example after transforms, in the structure that it came in.

    Args:
        example: after transforms.
        y: what came with the picture before.

    Returns:
        A label, a mask of the picture's height and width, or a dict with the keys of `y`.

    Example:
        >>> import numpy as np
        >>> picture = np.zeros((4, 6, 3), "uint8")
        >>> target_of(example_of(picture, 7), 7)
        7
    """
    if isinstance(y, dict) and {"boxes", "mask", "masks", "segmentation_masks"} & y.keys():
        return {key: getattr(example, KEYS[key]) for key in y}
    return example.label if example.mask is None else example.mask
