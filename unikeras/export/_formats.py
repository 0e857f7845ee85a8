"""The table of formats: their names, their suffixes, and which of them a path means."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from unikeras.errors import UnknownFormat


@dataclass(frozen=True)
class Format:
    """An export format.

    Attributes:
        name: what users call it.
        suffix: how its files end; `""` where an artifact is a folder.
        beside: the suffix of a second file, which holds the weights; `""` where one file holds all.
        advice: what a report says of every artifact of this format.
    """

    name: str
    suffix: str
    beside: str = ""
    advice: str = ""

    @property
    def is_folder(self) -> bool:
        """Whether an artifact is a folder rather than a file."""
        return not self.suffix


FORMATS: dict[str, Format] = {
    row.name: row
    for row in (
        Format("saved_model", ""),
        Format("torchscript", ".pt", advice="legacy: PyTorch has deprecated TorchScript, prefer .pt2"),
        Format("onnx", ".onnx"),
        Format("pt2", ".pt2"),
        Format("litert", ".tflite"),
        Format("openvino", ".xml", beside=".bin"),
    )
}


def named(name: str) -> Format:
    """Return the format of this name.

    Raises:
        UnknownFormat: no format has this name.
    """
    if name not in FORMATS:
        raise UnknownFormat(f"unknown format {name!r}; offered are {', '.join(FORMATS)}")
    return FORMATS[name]


def of_path(path: Path) -> Format:
    """Return the format that a path's suffix means; a path without one is a SavedModel folder.

    Raises:
        UnknownFormat: the suffix means no format.

    Example:
        >>> of_path(Path("model.onnx")).name, of_path(Path("model")).name
        ('onnx', 'saved_model')
    """
    for row in FORMATS.values():
        if row.suffix == path.suffix.lower():
            return row
    allowed = ", ".join(f"{row.suffix} ({row.name})" for row in FORMATS.values() if row.suffix)
    raise UnknownFormat(
        f"{path.name!r} ends in {path.suffix!r}, which means no format; allowed are {allowed} and, for a "
        "saved_model folder, no suffix. A saved_model folder of any name needs format='saved_model'."
    )


def check_suffix(path: Path, format: Format) -> None:
    """Refuse a path whose suffix belongs to another format than the one asked for.

    Raises:
        UnknownFormat: they contradict each other.
    """
    taken = {row.suffix for row in FORMATS.values() if row.suffix}
    suffix = path.suffix.lower()
    if format.is_folder and suffix not in taken:
        return  # a folder may be called "model.v2"
    if suffix != format.suffix:
        wanted = f"end in {format.suffix!r}" if format.suffix else "are folders without a suffix"
        raise UnknownFormat(
            f"{path.name!r} contradicts format {format.name!r}, whose artifacts {wanted}; "
            "change one of them, or leave format=None to follow the suffix"
        )
