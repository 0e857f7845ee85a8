"""The state of `stateful=True` layers, saved, loaded and reset; it is no weight, so no file of Keras' holds it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import tree

from unikeras import backends
from unikeras._base.files import written_atomically
from unikeras._specs.state_bytes import BadRow, pack, unpack
from unikeras._specs.states import StateSpec
from unikeras.errors import ArgumentError, ArtifactNotFound, CorruptArtifact, StateError
from unikeras.streaming._streaming_graph import state_names

# Instead of a model's fingerprint: this state may be another model's, and the same one's after more training.
_KIND = "memory of stateful layers"


def save_state(model: Any, path: str | os.PathLike[str]) -> None:
    """Write what a model's `stateful=True` layers remember to a safetensors file.

    The file is written atomically. It holds tensors by position, since Keras numbers layers by itself; their
    layers' names stand in its header.

    Args:
        model: a built `keras.Model`.
        path: the file; what stands there is replaced.

    Raises:
        ArgumentError: this is no model.
        StateError: it has no stateful layer, or one that is not built.
        OutputError: the file cannot be written.

    Example:
        >>> import keras, numpy as np, unikeras as uk
        >>> layers = [keras.Input(batch_shape=(1, None, 2)), keras.layers.GRU(3, stateful=True)]
        >>> model = keras.Sequential(layers)
        >>> x = np.ones((1, 4, 2), "float32")
        >>> _ = model(x)
        >>> uk.save_state(model, "state.safetensors")
        >>> after = model(x)
        >>> uk.reset_state(model)
        >>> uk.load_state(model, "state.safetensors")
        >>> bool(keras.ops.all(keras.ops.isclose(model(x), after)))
        True
    """
    specs, variables = _find_states(model, "save_state")
    arrays = [backends.current().to_numpy(variable.value)[None] for variable in variables]
    with written_atomically(path) as temporary:
        temporary.write_bytes(pack(specs, _KIND, arrays))


def load_state(model: Any, path: str | os.PathLike[str]) -> None:
    """Give a model's `stateful=True` layers the state that `save_state` wrote, under any backend.

    Args:
        model: a built model with the same stateful layers and batch size.
        path: the file.

    Raises:
        ArgumentError: this is no model.
        ArtifactNotFound: there is no such file.
        CorruptArtifact: it is damaged, holds other shapes than the model has, or is none that `save_state` wrote;
            nothing was changed.
        StateError: the model has no stateful layer, or one that is not built.

    Example:
        >>> import keras, unikeras as uk
        >>> layers = [keras.Input(batch_shape=(1, None, 2)), keras.layers.GRU(3, stateful=True)]
        >>> uk.load_state(keras.Sequential(layers), "no/such/state.safetensors")
        Traceback (most recent call last):
        unikeras.errors.ArtifactNotFound: there is no file no/such/state.safetensors
    """
    specs, variables = _find_states(model, "load_state")
    file = Path(path)
    if not file.is_file():
        raise ArtifactNotFound(f"there is no file {file}")
    try:
        arrays = unpack(specs, _KIND, file.read_bytes())
    except BadRow as error:
        raise CorruptArtifact(f"{file} holds no state for model {model.name!r}: {error}") from error
    for variable, array in zip(variables, arrays or [], strict=True):
        variable.assign(np.squeeze(array, 0))


def reset_state(model: Any) -> None:
    """Let a model's `stateful=True` layers forget, nested ones too: what Keras documents as `Model.reset_state`.

    Args:
        model: a `keras.Model`. Layers that are not built have nothing to forget.

    Raises:
        ArgumentError: this is no model.
        StateError: it has no stateful layer.

    Example:
        >>> import keras, numpy as np, unikeras as uk
        >>> layers = [keras.Input(batch_shape=(1, None, 2)), keras.layers.GRU(3, stateful=True)]
        >>> model = keras.Sequential(layers)
        >>> x = np.ones((1, 4, 2), "float32")
        >>> first, second = model(x), model(x)
        >>> uk.reset_state(model)
        >>> bool(keras.ops.all(model(x) == first)), bool(keras.ops.all(second == first))
        (True, False)
    """
    for layer in _stateful_layers(model, "reset_state"):
        for variable in tree.flatten(layer.states or []):
            variable.assign(keras.ops.zeros_like(variable.value))


def _find_states(model: Any, caller: str) -> tuple[list[StateSpec], list[Any]]:
    specs, variables = [], []
    for layer in _stateful_layers(model, caller):
        if layer.states is None:
            raise StateError(
                f"layer {layer.name!r} of model {model.name!r} is not built, so it remembers nothing yet; "
                "call the model once, or begin it with keras.Input(batch_shape=...)"
            )
        for name, variable in zip(state_names(layer.cell), tree.flatten(layer.states), strict=True):
            specs.append(StateSpec(layer.name, name, tuple(variable.shape), str(variable.dtype)))
            variables.append(variable)
    return specs, variables


def _stateful_layers(model: Any, caller: str) -> list[Any]:
    backends.current_name()
    if not isinstance(model, keras.Model):
        raise ArgumentError(f"uk.{caller} takes a keras.Model; received {type(model).__qualname__}")
    found = [
        layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.RNN) and layer.stateful
    ]
    if not found:
        raise StateError(
            f"model {model.name!r} has no layer with stateful=True, so it remembers nothing between calls; "
            "uk.stateful(model) hands the state of any recurrent model in and out"
        )
    return found
