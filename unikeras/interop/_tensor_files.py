"""Weights from files: `.safetensors` without torch, `.pt` with it, also sharded with an index; never a pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from unikeras._base.optional import require
from unikeras._base.text import brief
from unikeras._specs.signature import numpy_dtype
from unikeras.errors import ArgumentError, ArgumentValueError, ArtifactNotFound, CorruptArtifact
from unikeras.interop._module_groups import keeps_order, natural
from unikeras.interop._weight_links import Array

OF_TORCH = (".pt", ".pth", ".bin", ".ckpt")
SUFFIXES = (".safetensors", ".index.json", *OF_TORCH)
# What is read of a folder: the first of these of which there is one.
IN_FOLDER = ("*.safetensors.index.json", "*.safetensors", "*.bin.index.json", "*.bin")
# Names of safetensors' format: https://github.com/huggingface/safetensors
DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
}
# Where trainers keep the weights among other things.
INSIDE = ("state_dict", "model_state_dict", "model")


def read_weights(source: Any) -> dict[str, Array]:
    """Return the arrays of a state_dict, by name.

    Args:
        source: a mapping of arrays or tensors, a torch module, or the path of a file or a folder.

    Raises:
        ArgumentError: it is none of these, or holds something else than tensors.
        ArgumentValueError: the suffix is no known one.
        ArtifactNotFound: there is no such file, or a shard is missing.
        CorruptArtifact: the file cannot be read.
        UnsafeArtifact: a `.pt` file holds more than tensors.
        MissingDependency: a `.pt` file needs torch, which is not installed.
    """
    if isinstance(source, str | Path):
        return _only_arrays(_read_file(Path(source)), str(source))
    if callable(getattr(source, "named_modules", None)):
        from unikeras.lowering import state_of

        return _only_arrays(state_of(source), "the module")
    if not isinstance(source, Mapping):
        raise ArgumentError(
            "a state_dict is a mapping of tensors or arrays, a torch module, or the path of a file; received "
            f"{type(source).__qualname__}"
        )
    return _only_arrays(_inside(dict(source)), "the state_dict")


def _inside(state: dict[Any, Any]) -> Mapping[Any, Any]:
    """Return the weights of what a trainer has saved beside other things: by their name, or the only tensors."""
    inner = {name: value for name, value in state.items() if isinstance(value, Mapping)}
    named = next((inner[name] for name in INSIDE if name in inner), None)
    if named is not None:
        return named
    of_tensors = [
        one for one in inner.values() if one and all(hasattr(value, "shape") for value in one.values())
    ]
    return of_tensors[0] if len(of_tensors) == 1 else state


def _only_arrays(state: Mapping[Any, Any], where: str) -> dict[str, Array]:
    if any(callable(getattr(value, "detach", None)) for value in state.values()):
        from unikeras.lowering import arrays_of

        state = arrays_of(state)
    others = [name for name, value in state.items() if not isinstance(value, np.ndarray | np.generic)]
    unnamed = [name for name in state if not isinstance(name, str)]
    if others or unnamed:
        shown = ", ".join(f"{name!r} ({type(state[name]).__qualname__})" for name in [*unnamed, *others][:6])
        inner = [name for name, value in state.items() if isinstance(value, Mapping)]
        advice = f"; the weights may be in one of them, such as state_dict[{inner[0]!r}]" if inner else ""
        raise ArgumentError(f"{where} holds more than named tensors: {shown}{advice}")
    return {name: np.asarray(value) for name, value in state.items()}


def _read_file(path: Path) -> Mapping[Any, Any]:
    if path.is_dir():
        path = _in_folder(path)
    if not path.is_file():
        raise ArtifactNotFound(f"there is no file {str(path)!r}")
    if path.name.endswith(".index.json"):
        return _read_shards(path)
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix in OF_TORCH:
        return _read_checkpoint(path)
    raise ArgumentValueError(f"weights are read from {', '.join(SUFFIXES)}; received {str(path)!r}")


def _read_checkpoint(path: Path) -> Mapping[Any, Any]:
    require("torch", "torch", f"reading {path.name}")
    from unikeras.lowering import read_checkpoint

    state = read_checkpoint(path)
    if not isinstance(state, Mapping):
        raise ArgumentError(f"{path} holds a {type(state).__qualname__}, and no state_dict")
    return _inside(dict(state))


def _in_folder(folder: Path) -> Path:
    for pattern in IN_FOLDER:
        found = sorted(folder.glob(pattern))
        if len(found) > 1:
            names = ", ".join(path.name for path in found)
            raise ArgumentValueError(f"{str(folder)!r} holds {names}; name the one to read")
        if found:
            return found[0]
    raise ArtifactNotFound(f"there is no .safetensors or .bin file in {str(folder)!r}")


def _read_safetensors(path: Path) -> dict[str, Array]:
    """Return the arrays of a file, by name, mapped from the disk: they are read as they are used."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy"):  # checks the header and all offsets
            pass
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header: dict[str, Any] = json.loads(file.read(size))
    except (SafetensorError, OSError, ValueError) as error:
        raise CorruptArtifact(f"{path} is no readable .safetensors file: {brief(error)}") from error
    header.pop("__metadata__", None)
    odd = sorted({entry["dtype"] for entry in header.values()} - DTYPES.keys())
    if odd:
        raise ArgumentError(f"{path} holds tensors of dtype {', '.join(odd)}, which Keras has no weights of")
    return {
        name: _mapped(path, header[name], 8 + size)
        # safetensors sorts what it writes, so that the order in the file says nothing.
        for name in sorted(header, key=natural)
    }


def _mapped(path: Path, entry: dict[str, Any], start: int) -> Array:
    dtype, shape = numpy_dtype(DTYPES[entry["dtype"]]), tuple(entry["shape"])
    if 0 in shape:
        return np.zeros(shape, dtype)
    return np.memmap(path, dtype, "r", start + entry["data_offsets"][0], shape)


def _read_shards(index: Path) -> dict[Any, Any]:
    try:
        places = dict(json.loads(index.read_text())["weight_map"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorruptArtifact(f"{index} is no index of files with weights: {brief(error)}") from error
    names = list(dict.fromkeys(places.values()))
    problems = [f"{name!r} is no name of a file" for name in names if Path(str(name)).name != name]
    if problems:
        raise CorruptArtifact(f"{index} names files outside its folder: {'; '.join(problems)}")
    missing = [name for name in names if not (index.parent / name).is_file()]
    if missing:
        raise ArtifactNotFound(f"{index} names shards that are not there: {', '.join(missing)}")
    shards = {
        name: (_read_checkpoint if name.endswith(OF_TORCH) else _read_safetensors)(index.parent / name)
        for name in names
    }
    absent = [f"{key} ({shard})" for key, shard in places.items() if key not in shards[shard]]
    if absent:
        raise CorruptArtifact(f"{index} names tensors that are not in their shards: {', '.join(absent[:6])}")
    keys = places if keeps_order(list(places)) else sorted(places, key=natural)
    return {key: shards[places[key]][key] for key in keys}
