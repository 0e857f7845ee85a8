"""Compare a model between backends, or with another model, an artifact or a torch module.

Names load at first use, so that the plugin for pytest in this package imports nothing heavy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from unikeras._base.suggestions import missing_attribute

if TYPE_CHECKING:
    from unikeras.compare._parity import assert_parity, parity
    from unikeras.compare._parity_report import Difference, LayerGap, LayerRow, ParityReport, SideRow

# public name -> the module that has it
_NAMES = {
    "Difference": "_parity_report",
    "LayerGap": "_parity_report",
    "LayerRow": "_parity_report",
    "ParityReport": "_parity_report",
    "SideRow": "_parity_report",
    "assert_parity": "_parity",
    "parity": "_parity",
}

__all__ = ["Difference", "LayerGap", "LayerRow", "ParityReport", "SideRow", "assert_parity", "parity"]


if not TYPE_CHECKING:  # type checkers know the names above

    def __getattr__(name: str) -> Any:
        if name not in _NAMES:
            raise missing_attribute(__name__, name, __all__)
        value = getattr(importlib.import_module(f"{__name__}.{_NAMES[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
