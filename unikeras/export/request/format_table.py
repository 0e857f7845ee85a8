"""The table of formats: their names, their suffixes, and which of them a path means."""

from __future__ import annotations

import difflib
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


# How to read other files than artifacts.
_KERAS = "keras.saving.load_model reads a saved Keras model, and uk.export_model exports it"
_TORCH = "torch.load reads weights of PyTorch, and load_state_dict of the module puts them in"
OTHERS = {
    ".keras": _KERAS,
    ".h5": "a Keras model is read by keras.saving.load_model, weights alone by model.load_weights",
    ".hdf5": "a Keras model is read by keras.saving.load_model, weights alone by model.load_weights",
    ".pth": _TORCH,
    ".ckpt": _TORCH,
    ".safetensors": "safetensors.numpy.load_file reads its arrays, and set_weights puts them into a model",
    ".npz": "numpy.load reads its arrays, and set_weights puts them into a model",
    ".pb": "load the folder in which saved_model.pb stands",
    ".bin": "load the .xml beside it",
}

# Other names of formats: what people call them, and what their files end in.
ALIASES = {row.suffix.removeprefix("."): row.name for row in FORMATS.values() if row.suffix} | {
    "savedmodel": "saved_model",
    "tensorflow": "saved_model",
}


def find_format(name: str) -> Format:
    """Return the format of this name, or whose files end in it.

    Raises:
        UnknownFormat: no format has this name.

    Example:
        >>> find_format("tflite").name
        'litert'
    """
    known = name.strip().lower().removeprefix(".")
    known = ALIASES.get(known, known)
    if known not in FORMATS:
        close = difflib.get_close_matches(known, [*FORMATS, *ALIASES], 1)
        hint = f" did you mean {close[0]!r}?" if close else ""
        raise UnknownFormat(f"unknown format {name!r};{hint} offered are {', '.join(FORMATS)}")
    return FORMATS[known]


def format_of_path(path: Path) -> Format:
    """Return the format that a path's suffix means; a path without one is a SavedModel folder.

    Raises:
        UnknownFormat: the suffix means no format.

    Example:
        >>> format_of_path(Path("model.onnx")).name, format_of_path(Path("model")).name
        ('onnx', 'saved_model')
    """
    for row in FORMATS.values():
        if row.suffix == path.suffix.lower():
            return row
    allowed = ", ".join(f"{row.suffix} ({row.name})" for row in FORMATS.values() if row.suffix)
    reader = OTHERS.get(path.suffix.lower(), "")
    reader = f" To read such a file: {reader}." if reader else ""
    close = difflib.get_close_matches(path.suffix.lower(), [row.suffix for row in FORMATS.values()], 1)
    hint = f" did you mean {close[0]!r}?" if close and close[0] else ""
    raise UnknownFormat(
        f"{path.name!r} ends in {path.suffix!r}, which means no format;{hint} allowed are {allowed} and, for a "
        f"saved_model folder, no suffix. A saved_model folder of any name needs format='saved_model'.{reader}"
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
