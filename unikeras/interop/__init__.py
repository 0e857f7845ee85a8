"""Weights and modules of PyTorch, to and from Keras.

    report = uk.interop.load_state_dict(model, "model.safetensors")
    weights = uk.interop.state_dict(model)
    model = uk.interop.from_torch(module, (example,))
    module = uk.interop.to_torch(model)

Names load at first use. What needs torch is in `lowering`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from unikeras._base.suggestions import missing_attribute as _missing_attribute

if TYPE_CHECKING:
    from unikeras.interop._from_torch import from_torch as from_torch
    from unikeras.interop._import_report import ImportReport as ImportReport
    from unikeras.interop._import_report import ImportTrial as ImportTrial
    from unikeras.interop._imported_module import ImportedModule as ImportedModule
    from unikeras.interop._module_layer import TorchModule as TorchModule
    from unikeras.interop._state_dicts import load_state_dict as load_state_dict
    from unikeras.interop._state_dicts import state_dict as state_dict
    from unikeras.interop._weights_report import WeightsReport as WeightsReport
    from unikeras.interop._weights_report import WeightsRow as WeightsRow
    from unikeras.interop._written_models import to_torch as to_torch
    from unikeras.interop.operators import register_operator as register_operator

_MODULES = {
    "ImportReport": "_import_report",
    "ImportTrial": "_import_report",
    "ImportedModule": "_imported_module",
    "TorchModule": "_module_layer",
    "WeightsReport": "_weights_report",
    "WeightsRow": "_weights_report",
    "from_torch": "_from_torch",
    "load_state_dict": "_state_dicts",
    "register_operator": "operators",
    "state_dict": "_state_dicts",
    "to_torch": "_written_models",
}

__all__ = [
    "ImportReport",
    "ImportTrial",
    "ImportedModule",
    "TorchModule",
    "WeightsReport",
    "WeightsRow",
    "from_torch",
    "load_state_dict",
    "register_operator",
    "state_dict",
    "to_torch",
]


if not TYPE_CHECKING:  # type checkers know the names above; this would make every other name one of any type

    def __getattr__(name: str) -> Any:
        if name not in _MODULES:
            raise _missing_attribute(__name__, name, __all__)
        value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
