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
    """

    name: str
    suffix: str

    @property
    def is_folder(self) -> bool:
        """Whether an artifact is a folder rather than a file."""
        return not self.suffix


FORMATS: dict[str, Format] = {
    row.name: row
    for row in (Format("saved_model", ""), Format("torchscript", ".pt"), Format("onnx", ".onnx"))
}

# Known by name, so that the answer is better than "unknown".
NOT_OFFERED: dict[str, Format] = {
    row.name: row for row in (Format("pt2", ".pt2"), Format("litert", ".tflite"), Format("openvino", ".xml"))
}


def named(name: str) -> Format:
    """Return the format of this name.

    Raises:
        UnknownFormat: no format has this name, or it is not offered in this version.
    """
    if name in FORMATS:
        return FORMATS[name]
    offered = f"offered are {', '.join(FORMATS)}"
    if name in NOT_OFFERED:
        raise UnknownFormat(f"format {name!r} is not offered in this version; {offered}")
    raise UnknownFormat(f"unknown format {name!r}; {offered}")


def of_path(path: Path) -> Format:
    """Return the format that a path's suffix means; a path without one is a SavedModel folder.

    Raises:
        UnknownFormat: the suffix means no format, or one that is not offered in this version.

    Example:
        >>> of_path(Path("model.onnx")).name, of_path(Path("model")).name
        ('onnx', 'saved_model')
    """
    for row in (*FORMATS.values(), *NOT_OFFERED.values()):
        if row.suffix == path.suffix.lower():
            return named(row.name)
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
    taken = {row.suffix for row in (*FORMATS.values(), *NOT_OFFERED.values()) if row.suffix}
    suffix = path.suffix.lower()
    if format.is_folder and suffix not in taken:
        return  # a folder may be called "model.v2"
    if suffix != format.suffix:
        wanted = f"end in {format.suffix!r}" if format.suffix else "are folders without a suffix"
        raise UnknownFormat(
            f"{path.name!r} contradicts format {format.name!r}, whose artifacts {wanted}; "
            "change one of them, or leave format=None to follow the suffix"
        )
