"""What a training run was begun with, and how another one differs."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from unikeras._keras.array_rows import rows_of
from unikeras._keras.attached_optimizers import attached_optimizers
from unikeras._keras.ordered_arrays import arrays_of
from unikeras._keras.without_tensorflow import without_tensorflow
from unikeras.training._batches import Batches
from unikeras.training._positioned_batches import PositionedBatches, check_validation

# How many rows of each array are looked at: all of them would take as long as to read the data.
_ROWS = 64
_SHOWN = 60
_LONG = 4000


def describe_model(model: Any) -> dict[str, Any]:
    """Return layers, optimizer and loss as JSON, without names that differ from process to process."""
    described = {
        "layers": [
            {"class": type(layer).__name__, "config": _shortened(_config(layer))}
            for layer in model._flatten_layers(include_self=False)
            if not isinstance(layer, keras.Model) and not _is_of_compile(layer)
        ],
        "optimizer": _object(getattr(model, "optimizer", None)),
        "loss": _loss(getattr(model, "loss", None)),
    }
    return described | {name: _object(optimizer) for name, optimizer in attached_optimizers(model).items()}


def describe_run(
    model: Any, batches: PositionedBatches, validation: Batches | None, validation_freq: Any
) -> dict[str, Any]:
    """Return what a run is begun with: all that has to be the same for it to go on."""
    described = describe_model(model)
    described |= {"steps_per_epoch": batches.steps_per_epoch, "shuffle": batches.passes.shuffles}
    described |= _describe_data(batches.passes.adapter, "")
    if validation is not None:
        check_validation(validation.data_adapter)
        described["validation_freq"] = (
            validation_freq if isinstance(validation_freq, int) else list(validation_freq)
        )
        described["validation_steps"] = validation.steps_per_epoch
        described |= _describe_data(validation.data_adapter, "validation ")
    return described


def _describe_data(adapter: Any, prefix: str) -> dict[str, Any]:
    described: dict[str, Any] = {
        f"{prefix}batch_size": adapter.batch_size,
        f"{prefix}batches": adapter.num_batches,
    }
    arrays = arrays_of(adapter)
    if arrays is None:
        dataset = getattr(adapter, "py_dataset", adapter)
        return {**described, f"{prefix}data": type(dataset).__name__}
    return {**described, f"{prefix}data": describe_arrays(arrays)}


def describe_arrays(arrays: Any) -> dict[str, Any]:
    """Return shapes, dtypes and a checksum over some rows of each array of a structure."""
    described = {}
    for path, array in keras.tree.flatten_with_path(arrays):
        if array is not None:
            name = "/".join(str(part) for part in path) or "0"
            described[name] = {
                "shape": [int(size) for size in array.shape],
                "dtype": str(getattr(array, "dtype", type(array).__name__)),
                "content": _checksum(array),
            }
    return described


def differences(saved: Any, now: Any, name: str = "") -> Iterator[str]:
    """Say what differs, each as "name is ... here and was ...".

    Args:
        saved: JSON data.
        now: JSON data.
        name: of what is compared.
    """
    if isinstance(saved, dict) and isinstance(now, dict):
        for key in dict.fromkeys([*saved, *now]):
            yield from differences(saved.get(key), now.get(key), f"{name} {key}".strip())
    elif isinstance(saved, list) and isinstance(now, list) and len(saved) == len(now):
        for number, (before, after) in enumerate(zip(saved, now, strict=True)):
            yield from differences(before, after, f"{name} {number}")
    elif isinstance(saved, list) and isinstance(now, list):
        yield f"{name}: {len(now)} here and {len(saved)} in the saved run"
    elif saved != now:
        yield f"{name} is {_short(now)} here and was {_short(saved)}"


def _shortened(config: dict[str, Any]) -> Any:
    """Return a config, or its checksum where it is long: a vocabulary would be in each checkpoint."""
    text = json.dumps(config, sort_keys=True)
    return config if len(text) <= _LONG else {"checksum": zlib.crc32(text.encode())}


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _is_of_compile(layer: Any) -> bool:
    return isinstance(layer, keras.Metric | keras.Loss)


def _config(thing: Any) -> dict[str, Any]:
    try:
        with without_tensorflow():
            config = thing.get_config()
    except Exception:  # a class of the user's that has none
        return {}
    return _without_names({key: value for key, value in config.items() if key != "name"})


def _object(thing: Any) -> Any:
    if thing is None:
        return None
    return {"class": type(thing).__name__, **_config(thing)}


def _loss(loss: Any) -> Any:
    if isinstance(loss, dict):
        return {str(name): _loss(one) for name, one in loss.items()}
    if isinstance(loss, list | tuple):
        return [_loss(one) for one in loss]
    if loss is None or isinstance(loss, str):
        return loss
    return _object(loss) if isinstance(loss, keras.Loss) else getattr(loss, "__name__", type(loss).__name__)


def _without_names(value: Any) -> Any:
    """Return a config as JSON, without names that Keras counts up and without the rate, which is a variable."""
    if isinstance(value, dict):
        left = dict(value)
        if "trainable" in left or "learning_rate" in left or "reduction" in left:
            left.pop("name", None)
        if isinstance(left.get("learning_rate"), float | int | np.number):
            del left["learning_rate"]
        return {str(key): _without_names(inner) for key, inner in left.items()}
    if isinstance(value, list | tuple):
        return [_without_names(inner) for inner in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    return type(value).__name__


def _checksum(array: Any) -> int:
    count = int(array.shape[0]) if array.shape else 0
    rows = np.unique(np.linspace(0, max(count - 1, 0), min(count, _ROWS)).astype(int))
    try:
        taken = np.ascontiguousarray(rows_of(array, rows))
    except (TypeError, ValueError, NotImplementedError):  # ragged rows
        return 0
    if taken.dtype == object:
        return zlib.crc32("\0".join(map(str, taken.ravel().tolist())).encode())
    return zlib.crc32(taken.tobytes())
