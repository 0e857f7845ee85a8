"""Where the module of a layer comes from, and what a saved layer holds of it."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras

from unikeras._keras.saving import is_code_allowed
from unikeras.errors import ArgumentError, ArgumentValueError, CorruptArtifact, UnsafeArtifact
from unikeras.interop._imported_module import ImportedModule

_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


@dataclass(frozen=True)
class ModuleSource:
    """A module, the function that builds it, or its program.

    Attributes:
        module: a `torch.nn.Module`, or None.
        builder: `"package:function"`, or "".
        imported: an `ImportedModule`, or None.
    """

    module: Any = None
    builder: str = ""
    imported: Any = None


def source_of(argument: Any) -> ModuleSource:
    """Return the source that a user names: a module, or the function that builds it.

    Raises:
        ArgumentError: it is neither.
        ArgumentValueError: there is no such function, or it builds no module.
    """
    if isinstance(argument, ModuleSource):
        return argument
    if isinstance(argument, str):
        return ModuleSource(_built(argument), argument)
    if isinstance(argument, keras.Layer):
        raise ArgumentError(f"{argument.name} is a Keras layer already; TorchModule takes a torch.nn.Module")
    if not _is_module(argument):
        raise ArgumentError(
            f'TorchModule takes a torch.nn.Module or "package:function"; received {type(argument).__qualname__}'
        )
    return ModuleSource(argument)


def read_source(data: Any, safe_mode: bool | None) -> ModuleSource:
    """Return the source that a saved layer holds.

    Args:
        data: what `SavedSource` wrote.
        safe_mode: whether code may run; None: as the loading around it says.

    Raises:
        CorruptArtifact: the data is damaged.
        UnsafeArtifact: only a function builds the module, and code must not run.
    """
    config = data.get("config") if isinstance(data, Mapping) else None
    if not isinstance(config, Mapping):
        raise CorruptArtifact(
            "the saved torch module is damaged: it has no program, and no function that builds it"
        )
    builder, program = config.get("builder") or "", config.get("program")
    if program is not None:
        if not isinstance(program, Mapping):
            raise CorruptArtifact("the program of the saved torch module is damaged")
        return ModuleSource(builder=builder, imported=ImportedModule.from_config(program))
    if not isinstance(builder, str) or not _FUNCTION.fullmatch(builder):
        raise CorruptArtifact(
            "the saved torch module is damaged: it has no program, and no function that builds it"
        )
    if not is_code_allowed(safe_mode):
        raise UnsafeArtifact(
            f"the torch module of this layer is built by {builder!r}, and loading would import and run that function; "
            "if you trust it, load with safe_mode=False, or call keras.config.enable_unsafe_deserialization()"
        )
    return ModuleSource(_built(builder), builder)


def copied(source: ModuleSource, module: Any) -> ModuleSource:
    """Return a source of its own with the same numbers.

    Args:
        source: of a layer.
        module: a copy of its module; None where it has a program.
    """
    if source.imported is None:
        return replace(source, module=module)
    imported = ImportedModule.from_config(source.imported.get_config())
    for own, new in zip(source.imported.variables, imported.variables, strict=True):
        new.assign(own)
    return replace(source, imported=imported)


@keras.saving.register_keras_serializable(package="unikeras")
class SavedSource:
    """What the config of a layer has for its module: the layer itself, until Keras writes the config as data.

    So `keras.models.clone_model` copies the module, and only saving exports it.

    Args:
        layer: the layer.
    """

    def __init__(self, layer: Any) -> None:
        self.layer = layer

    def get_config(self) -> dict[str, Any]:
        """Return the module as data."""
        return dict(self.layer.module_data())


def _built(builder: str) -> Any:
    if not _FUNCTION.fullmatch(builder):
        raise ArgumentValueError(f'a function is named as "package:function"; received {builder!r}')
    package, _, name = builder.partition(":")
    try:
        found: Any = importlib.import_module(package)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ArgumentValueError(
            f"{builder!r} names no function that can be imported here: {error}"
        ) from error
    module = found()
    if not _is_module(module):
        raise ArgumentValueError(
            f"{builder!r} must return a torch.nn.Module; it returned {type(module).__qualname__}"
        )
    return module


def _is_module(value: Any) -> bool:
    return callable(getattr(value, "named_parameters", None)) and callable(getattr(value, "forward", None))
