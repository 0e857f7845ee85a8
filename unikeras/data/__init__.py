"""Data: one source for every backend, its transforms, and its position as a value."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from unikeras._base.suggestions import missing_attribute

if TYPE_CHECKING:
    from unikeras.data import transforms as transforms
    from unikeras.data._data_source import Source as Source
    from unikeras.data._image_folders import from_folder as from_folder
    from unikeras.data._images import read_image as read_image
    from unikeras.data._images import read_mask as read_mask
    from unikeras.data._made_sources import from_arrays as from_arrays
    from unikeras.data._made_sources import from_source as from_source
    from unikeras.data._named_data import load as load
    from unikeras.data._source_adapter import adapted as adapted
    from unikeras.data._tables import from_table as from_table

__all__ = [
    "Source",
    "from_arrays",
    "from_folder",
    "from_source",
    "from_table",
    "load",
    "read_image",
    "read_mask",
    "transforms",
]

_MODULES = {
    "Source": "_data_source",
    "adapted": "_source_adapter",  # for the loop of uk.Model
    "from_arrays": "_made_sources",
    "from_folder": "_image_folders",
    "from_source": "_made_sources",
    "from_table": "_tables",
    "load": "_named_data",
    "read_image": "_images",
    "read_mask": "_images",
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        # Importing the package imports no numpy.
        if name == "transforms":
            return importlib.import_module(f"{__name__}.transforms")
        if name not in _MODULES:
            raise missing_attribute(__name__, name, __all__)
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
