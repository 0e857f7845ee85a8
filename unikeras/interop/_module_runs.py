"""The two ways in which a layer runs a torch module: the module itself, and its program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops, tree

from unikeras.backends import NativeModule


class NativeRun:
    """The module itself, under PyTorch.

    Args:
        native: the module.

    Attributes:
        module: the module.
        variables: by its names; the second name of a tied weight too.
        unsaved: names of buffers that a state_dict leaves out.
    """

    def __init__(self, native: NativeModule) -> None:
        self.module = native.module
        self.variables: dict[str, Any] = dict(native.variables)
        self.variables.update({alias: native.variables[name] for alias, name in native.aliases.items()})
        self.unsaved = native.unsaved
        self.native = native

    def call(self, args: Any, kwargs: Any, training: bool, compute_dtype: str | None) -> Any:
        args, kwargs = tree.map_structure(self._cast, (args, kwargs))
        return self.native.call(args, kwargs, training, compute_dtype)

    def output_spec(self, args: Any, kwargs: Any, compute_dtype: str | None) -> Any:
        args, kwargs = tree.map_structure(self._cast, (args, kwargs))
        return self.native.output_spec(args, kwargs, compute_dtype)

    def _cast(self, value: Any) -> Any:
        dtype = self.native.dtype
        if dtype is None or not _is_float(value) or keras.backend.standardize_dtype(value.dtype) == dtype:
            return value
        return (
            keras.KerasTensor(value.shape, dtype)
            if keras.backend.is_keras_tensor(value)
            else ops.cast(value, dtype)
        )


class ImportedRun:
    """The module's program, on any backend.

    Args:
        imported: the model of the program.

    Attributes:
        module: None.
        variables: by the module's names; the second name of a tied weight too.
        unsaved: nothing: what a state_dict leaves out is no variable of the program, but a constant.
    """

    def __init__(self, imported: Any) -> None:
        self.module = None
        constants = {one.name for one in imported.program.variables if one.kind == "constant"}
        named: Mapping[str, Any] = imported.named_variables
        self.variables = {name: variable for name, variable in named.items() if name not in constants}
        self.unsaved: frozenset[str] = frozenset()
        self.imported = imported

    def call(self, args: Any, kwargs: Any, training: bool, compute_dtype: str | None) -> Any:
        result = self.imported(*args, training=training, **kwargs)
        return _with_dtype(result, compute_dtype)

    def output_spec(self, args: Any, kwargs: Any, compute_dtype: str | None) -> Any:
        result = self.imported.compute_output_spec(*args, training=False, **kwargs)
        return _with_dtype(result, compute_dtype)


def _with_dtype(result: Any, dtype: str | None) -> Any:
    def cast(value: Any) -> Any:
        if dtype is None or not _is_float(value):
            return value
        return (
            keras.KerasTensor(value.shape, dtype)
            if keras.backend.is_keras_tensor(value)
            else ops.cast(value, dtype)
        )

    return tree.map_structure(cast, result)


def _is_float(value: Any) -> bool:
    return hasattr(value, "dtype") and keras.backend.is_float_dtype(
        keras.backend.standardize_dtype(value.dtype)
    )
