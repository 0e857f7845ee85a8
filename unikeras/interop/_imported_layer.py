"""The tree of an imported module: a Keras layer for each of its modules that has variables."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from unikeras._specs.torch_program import ProgramVariable, TorchProgram
from unikeras.errors import ArgumentValueError
from unikeras.interop.operators._arrays import dtype_here


Array = np.ndarray[Any, Any]


class ImportedLayer(keras.layers.Layer):
    """The variables of one module of torch, and the layers of the modules inside it.

    It is there to be looked at, frozen and given weights; the model computes. Its class has the name of torch's.

    Args:
        path: the module's, such as `"encoder.0"`; the layer's name is the last part of it.
        kind: torch's class, such as `"torch.nn.modules.linear.Linear"`.
    """

    def __init__(self, path: str, kind: str) -> None:
        super().__init__(name=path.rpartition(".")[2].replace("/", "_"), dtype="float32", autocast=False)
        self.module_path = path
        self.kind = kind
        self.parts: list[ImportedLayer] = []
        self.built = True

    @property
    def layers(self) -> list[ImportedLayer]:
        """The layers of the modules inside it; `summary(expand_nested=True)` reads them."""
        return list(self.parts)

    def call(self, *inputs: Any) -> Any:
        raise NotImplementedError(f"{self.name} holds variables of an imported module, which computes as a whole")

    def compute_output_spec(self, *inputs: Any) -> Any:
        return self.call(*inputs)


def make_layers(program: TorchProgram) -> dict[str, ImportedLayer]:
    """Return a layer for each module that has variables, or modules with variables inside it, by path."""
    kinds = {path: kind for path, kind in (node.module for node in program.eval.nodes)}
    layers: dict[str, ImportedLayer] = {}
    for variable in program.variables:
        if variable.kind != "constant":
            for path in _paths_above(variable.name):
                if path not in layers:
                    layers[path] = _class_of(kinds.get(path, ""))(path, kinds.get(path, ""))
                    parent = layers.get(path.rpartition(".")[0])
                    if parent is not None:
                        parent.parts.append(layers[path])
    return layers


def add_variable(owner: keras.layers.Layer, variable: ProgramVariable, value: Array | None) -> Any:
    """Add one variable to the layer of its module, or to the model; without a value it starts as in Keras' layers."""
    name = variable.name if variable.kind == "constant" else variable.name.rpartition(".")[2]
    if value is not None and value.shape != variable.shape:
        raise ArgumentValueError(f"{variable.name} has shape {variable.shape}; received {value.shape}")
    with contextlib.ExitStack() as scopes:
        for scope in getattr(owner, "module_path", "").split(".")[:-1]:
            scopes.enter_context(keras.name_scope(scope.replace("/", "_")))
        return owner.add_weight(
            name=re.sub(r"[./]", "_", name),
            shape=variable.shape,
            dtype=dtype_here(variable.dtype),
            trainable=variable.trainable,
            initializer=_first_value(variable) if value is None else _of_array(value),
            autocast=False,
        )


def _of_array(value: Array) -> Any:
    # No framework takes numpy's bfloat16, which comes from a library, but through float32, which holds all its values.
    array = value.astype("float32") if value.dtype.name == "bfloat16" else value
    return lambda shape, dtype=None: ops.cast(ops.convert_to_tensor(array), dtype)


def _first_value(variable: ProgramVariable) -> str:
    if not variable.dtype.startswith(("float", "bfloat")):
        return "zeros"
    if len(variable.shape) > 1:
        return "glorot_uniform"
    return "ones" if variable.name.endswith(("weight", "var")) else "zeros"


def owner_of(variable: ProgramVariable, layers: Mapping[str, ImportedLayer], model: Any) -> Any:
    """Return the layer that holds a variable: the model itself for its own, and for constants."""
    path = "" if variable.kind == "constant" else variable.name.rpartition(".")[0]
    return layers[path] if path else model


def _paths_above(name: str) -> Iterator[str]:
    """Yield `"a"` and `"a.b"` for `"a.b.weight"`."""
    parts = name.split(".")[:-1]
    for count in range(1, len(parts) + 1):
        yield ".".join(parts[:count])


def _class_of(kind: str) -> Any:
    """Return a class that shows torch's name in a summary."""
    name = kind.rpartition(".")[2]
    return type(name, (ImportedLayer,), {}) if name.isidentifier() else ImportedLayer
