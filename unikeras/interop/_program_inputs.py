"""The inputs of an imported module: its own positions and names, or one list or dict as `fit` gives it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from unikeras._specs.torch_program import ProgramTensor, TorchProgram
from unikeras.errors import SignatureError
from unikeras.interop._program_dtypes import category
from unikeras.interop.operators._arrays import dtype_here


def read_inputs(
    program: TorchProgram, args: Sequence[Any], named: Mapping[str, Any], convert: bool = True
) -> dict[str, Any]:
    """Return the tensors of a call, by the names of the program's inputs, in its dtypes.

    Args:
        program: what is called.
        args: positional arguments, or one list or dict that holds all.
        named: keyword arguments: names of the module's arguments.
        convert: False for symbolic tensors, which stay what they are.

    Raises:
        SignatureError: they do not fit; all problems are named.
    """
    leaves: dict[int, Any] = {}
    problems: list[str] = []
    structure = program.inputs_structure
    given = _arguments(program, args, named, problems)
    if not problems:
        _match(structure, given, "inputs", leaves, problems)
    missing = [one.name for at, one in enumerate(program.inputs) if at not in leaves]
    if missing and not problems:
        problems.append(f"no value for {', '.join(missing)}")
    for at, value in leaves.items():
        problems += _misfits(program.inputs[at], value) or size_problems(program, at, value.shape)
    if problems:
        raise SignatureError(
            "\n".join([f"the inputs do not fit {signature_of(program)}:", *(f"  {one}" for one in problems)])
        )
    return {
        program.inputs[at].name: _converted(value, program.inputs[at]) if convert else value
        for at, value in leaves.items()
    }


def signature_of(program: TorchProgram) -> str:
    """Return how a module is called, such as `"Net(x: float32 (None, 3))"`."""
    takes = ", ".join(f"{one.name}: {one.dtype} {_shown(one.shape)}" for one in program.inputs)
    return f"{program.name}({takes})"


def static_axes(program: TorchProgram, tensors: Mapping[str, Any]) -> list[str]:
    """Say which axes of symbolic tensors are dynamic and must not be."""
    return [
        f"axis {axis} of {one.name} is dynamic, and {size} was exported"
        for one in program.inputs
        for axis, (size, has) in enumerate(zip(one.shape, tensors[one.name].shape, strict=True))
        if size is not None and has is None
    ]


def size_problems(program: TorchProgram, number: int, shape: Sequence[Any]) -> list[str]:
    """Say which sizes of an input, given by its number, are out of the ranges that the program holds for."""
    problems = []
    for one in program.ranges:
        if one.input == program.inputs[number].name and type(size := shape[one.axis]) is int:
            most = math.inf if one.most is None else one.most
            if not one.least <= size <= most:
                wanted = f"{one.least} or more" if one.most is None else f"{one.least} to {one.most}"
                line = f" ({one.line})" if one.line else ""
                problems.append(f"axis {one.axis} of {one.input} is {size}, and must be {wanted}{line}")
    return problems


def _arguments(
    program: TorchProgram, args: Sequence[Any], named: Mapping[str, Any], problems: list[str]
) -> Any:
    """Return the arguments of a call, nested as the program's structure."""
    structure = program.inputs_structure
    by_name = isinstance(structure, dict)
    names = structure if by_name else {one.name: at for at, one in enumerate(program.inputs)}
    given = list(args)
    if len(given) == 1 and isinstance(given[0], Mapping) and set(given[0]) == set(names):
        given, named = [], {**given[0], **named}
    if len(given) == 1 and isinstance(given[0], list | tuple):
        is_first = not by_name and structure and isinstance(structure[0], list)
        given = given if is_first and len(given[0]) == len(structure[0]) else list(given[0])
    if by_name:
        if len(given) > len(structure):
            problems.append(f"takes {len(structure)} arguments, received {len(given)}")
        return {**dict.fromkeys(structure), **dict(zip(structure, given, strict=False)), **named}
    if named:
        return _positioned(structure, names, given, named, problems)
    # Arguments that have no tensor, such as None, may be left out.
    filled = [at for at, part in enumerate(structure) if has_tensor(part)]
    if len(given) == len(filled) < len(structure):
        by_place = dict(zip(filled, given, strict=True))
        given = [by_place.get(at) for at in range(len(structure))]
    if len(given) != len(structure):
        problems.append(f"takes {len(structure)} positional arguments, received {len(given)}")
    return given


def _positioned(
    structure: Sequence[Any],
    names: Mapping[str, int],
    args: Sequence[Any],
    named: Mapping[str, Any],
    problems: list[str],
) -> list[Any]:
    """Put keyword arguments, which are names of tensors, into their positions."""
    places = {name: structure.index(at) for name, at in names.items() if at in structure}
    result = [*args, *[None] * (len(structure) - len(args))]
    for name, value in named.items():
        if name not in places:
            problems.append(f"no argument is called {name!r}; they are {', '.join(places)}")
        elif places[name] < len(args):
            problems.append(f"two values for {name}")
        else:
            result[places[name]] = value
    return result


def has_tensor(structure: Any) -> bool:
    """Say whether a part of a structure holds a tensor, and not only None or constants."""
    if isinstance(structure, list | dict):
        return any(map(has_tensor, structure.values() if isinstance(structure, dict) else structure))
    return isinstance(structure, int)


def _match(structure: Any, value: Any, where: str, leaves: dict[int, Any], problems: list[str]) -> None:
    if isinstance(structure, dict) and isinstance(value, Mapping) and set(value) == set(structure):
        for key, inner in structure.items():
            _match(inner, value[key], f"{where}[{key!r}]", leaves, problems)
    elif isinstance(structure, list) and isinstance(value, list | tuple) and len(value) == len(structure):
        for at, (inner, item) in enumerate(zip(structure, value, strict=True)):
            _match(inner, item, f"{where}[{at}]", leaves, problems)
    elif isinstance(structure, int) and _is_array(value):
        leaves[structure] = value
    elif structure is None or isinstance(structure, str):
        fixed = None if structure is None else json.loads(structure)
        if value is not None and (_is_array(value) or value != fixed):
            problems.append(f"{where} is fixed to {fixed!r}, as in the example; received {_described(value)}")
    else:
        problems.append(f"{where}: expected {_described(structure)}, received {_described(value)}")


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _described(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"a dict of {', '.join(map(repr, value))}"
    if isinstance(value, list | tuple):
        return f"{len(value)} values"
    return "a tensor" if _is_array(value) or isinstance(value, int) else repr(value)


def _misfits(wanted: ProgramTensor, value: Any) -> list[str]:
    shape = tuple(value.shape)
    fits = len(shape) == len(wanted.shape) and all(
        size is None or has is None or size == has for size, has in zip(wanted.shape, shape, strict=True)
    )
    problems = (
        [] if fits else [f"{wanted.name} has shape {_shown(shape)}, and must have {_shown(wanted.shape)}"]
    )
    dtype = keras.backend.standardize_dtype(value.dtype)
    if category(dtype) > category(wanted.dtype):
        problems.append(f"{wanted.name} is {dtype}, and must be {wanted.dtype}")
    return problems


def _converted(value: Any, wanted: ProgramTensor) -> Any:
    dtype = dtype_here(wanted.dtype)
    tensor = ops.convert_to_tensor(value)
    return tensor if keras.backend.standardize_dtype(tensor.dtype) == dtype else ops.cast(tensor, dtype)


def _shown(shape: Sequence[Any]) -> str:
    return str(tuple(shape))
