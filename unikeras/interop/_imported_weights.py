"""The weights of an imported module under torch's own names, which it knows: no layout changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from keras import ops

from unikeras._specs.signature import numpy_dtype
from unikeras._specs.torch_program import ProgramVariable
from unikeras.errors import WeightsMismatch
from unikeras.interop._imported_module import ImportedModule
from unikeras.interop._tensor_files import read_weights
from unikeras.interop._weight_links import Array
from unikeras.interop._weights_report import WeightsReport, WeightsRow

# What trainers and compilers put before all names.
_PREFIXES = ("", "module.", "model.", "_orig_mod.")


def imported_state_dict(model: ImportedModule) -> dict[str, Array]:
    """Return the arrays of a module's state_dict, in torch's dtypes; tied names have equal arrays."""
    arrays = {}
    for variable in _of_state_dict(model):
        value = np.array(ops.convert_to_numpy(model.named_variables[variable.name]))
        value = value.astype(numpy_dtype(variable.dtype), copy=False)
        arrays.update(dict.fromkeys((variable.name, *variable.aliases), value))
    return arrays


def load_imported_state_dict(model: ImportedModule, state_dict: Any, strict: bool) -> WeightsReport:
    """Assign a module's state_dict.

    Args:
        model: the imported module.
        state_dict: as for `load_state_dict`.
        strict: whether all names of both sides must be there.

    Raises:
        WeightsMismatch: names or shapes do not fit; all of them are named, and nothing was assigned.
    """
    state = _without_prefix(read_weights(state_dict), model)
    values: dict[str, Array] = {}
    problems, left = [], []
    for variable in _of_state_dict(model):
        found = {name: state[name] for name in (variable.name, *variable.aliases) if name in state}
        if not found:
            left.append(variable.name)
            continue
        value = values[variable.name] = next(iter(found.values()))
        problems += [
            f"{name} has shape {variable.shape}; received {one.shape}"
            for name, one in found.items()
            if one.shape != variable.shape
        ]
        if any(not np.array_equal(value, one) for one in found.values() if one.shape == value.shape):
            problems.append(f"{' and '.join(found)} are one tensor of the module, and differ")
    names = {name for one in model.program.variables for name in (one.name, *one.aliases)}
    extra = [name for name in state if name not in names]
    if strict:
        problems += [f"{name} is missing" for name in left]
        problems += [f"the module has no {name}" for name in extra]
    report = WeightsReport(model.name, list(_rows(model, values)), left, extra)
    if problems:
        lines = [f"the weights do not fit model {model.name!r}:", *(f"  {one}" for one in problems)]
        raise WeightsMismatch("\n".join(lines), report)
    for name, value in values.items():
        own = model.named_variables[name]
        own.assign(ops.cast(ops.convert_to_tensor(_known_to_frameworks(value)), own.dtype))
    return report


def _of_state_dict(model: ImportedModule) -> list[ProgramVariable]:
    return [one for one in model.program.variables if one.kind != "constant"]


def _known_to_frameworks(value: Array) -> Array:
    return np.array(value.astype("float32") if value.dtype.name == "bfloat16" else value)


def _without_prefix(state: Mapping[str, Array], model: ImportedModule) -> Mapping[str, Array]:
    names = model.named_variables.keys()
    for prefix in _PREFIXES:
        if all(name.startswith(prefix) for name in state):
            short = {name.removeprefix(prefix): value for name, value in state.items()}
            if names & short.keys():
                return short
    return state


def _rows(model: ImportedModule, values: Mapping[str, Array]) -> Iterator[WeightsRow]:
    tensors: dict[str, list[str]] = {}
    for name in values:
        tensors.setdefault(name.rpartition(".")[0], []).append(name)
    for path, names in tensors.items():
        kind = model.get_layer(path).kind if path else model.program.name
        yield WeightsRow(path.replace(".", "/"), path, kind.rpartition(".")[2], "name", names)
