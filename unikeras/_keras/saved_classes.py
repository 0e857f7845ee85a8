"""Names of unikeras' own classes in saved models, known to Keras before the classes are imported.

`keras.models.load_model` looks a class up by the name under which it is registered, and registering happens where the
class is defined. Until something imports that, a stand-in with the class's `from_config` holds its name.
"""

from __future__ import annotations

import importlib
from typing import Any

# name in files -> the module that registers the class under it
CLASSES = {
    "Carried": "unikeras.streaming._carried_output",
    "GRU": "unikeras.layers._recurrent_layers",
    "ImportedModule": "unikeras.interop._imported_module",
    "LSTM": "unikeras.layers._recurrent_layers",
    "TorchModule": "unikeras.interop._module_layer",
}


def announce() -> None:
    """Give Keras the names; one that is registered already is left alone."""
    import keras

    known = keras.saving.get_custom_objects()
    for name, module in CLASSES.items():
        known.setdefault(f"unikeras>{name}", _stand_in(name, module))


def _stand_in(name: str, module: str) -> type:
    def from_config(cls: type, config: dict[str, Any], **kwargs: Any) -> Any:
        importlib.import_module(module)
        import keras

        return keras.saving.get_custom_objects()[f"unikeras>{name}"].from_config(config, **kwargs)

    return type(name, (), {"from_config": classmethod(from_config), "__module__": module})
