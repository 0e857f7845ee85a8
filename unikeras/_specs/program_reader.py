"""A torch program from JSON: everything is checked, because the file that it comes from may be hostile or damaged."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeGuard

from unikeras._base.printable import printable
from unikeras._base.text import brief
from unikeras._specs.torch_program import (
    FORMAT,
    ProgramGraph,
    ProgramNode,
    ProgramRange,
    ProgramTensor,
    ProgramVariable,
    TorchProgram,
)
from unikeras.errors import CorruptArtifact

KINDS = ("parameter", "buffer", "constant")
_BITS = {"uint": (8, 16, 32, 64), "int": (8, 16, 32, 64), "float": (16, 32, 64), "complex": (64, 128)}
DTYPES = frozenset(["bool", "bfloat16", *(f"{kind}{bits}" for kind in _BITS for bits in _BITS[kind])])
NUMBERS = ("inf", "-inf", "nan")
_OPERATOR = re.compile(r"\w+(\.\w+)+")
_MOST_AXES = 64


def read_program(data: str | bytes | Mapping[str, Any]) -> TorchProgram:
    """Return the program that `TorchProgram.to_json` wrote.

    Args:
        data: JSON, as text or as its types.

    Raises:
        CorruptArtifact: it is damaged, or of another version of the format; the message has the place.
    """
    try:
        read = json.loads(data) if isinstance(data, str | bytes) else data
        return _program(read)
    except _Damage as error:
        raise CorruptArtifact(f"no readable torch program: {error}") from None
    except (ValueError, RecursionError) as error:  # of json, also for bytes that are no UTF-8
        raise CorruptArtifact(f"no readable torch program: {brief(error)}") from error


def _shown(value: Any) -> str:
    return printable(repr(value))[:200]


class _Damage(Exception):
    """What is wrong, and where."""


def _program(data: Any) -> TorchProgram:
    fields = _fields(data, "the program")
    version = fields.get("format")
    if version != FORMAT:
        raise _Damage(
            f"it has format {version!r}, and this version of unikeras reads format {FORMAT}; "
            "install the version that wrote it, or import the module again"
        )
    inputs = tuple(_tensor(one, f"inputs[{at}]") for at, one in enumerate(_list(fields, "inputs", "it")))
    variables = tuple(
        _variable(one, f"variables[{at}]") for at, one in enumerate(_list(fields, "variables", "it"))
    )
    names = _distinct((one.name for one in variables), "variables")
    _distinct((alias for one in variables for alias in (one.name, *one.aliases)), "names of variables")
    graphs = {mode: _graph(fields.get(mode), mode, inputs, names) for mode in ("eval", "train")}
    _check_structure(fields.get("inputs_structure"), len(inputs), "inputs_structure")
    for mode, graph in graphs.items():
        count = len(graph.outputs) - len(graph.writes)
        _check_structure(fields.get("outputs_structure"), count, f"outputs_structure with {mode}")
    return TorchProgram(
        _text(fields, "torch", "it"),
        inputs,
        fields["inputs_structure"],
        fields["outputs_structure"],
        variables,
        graphs["eval"],
        graphs["train"],
        _text(fields, "name", "it"),
        ranges=_ranges(fields, {one.name: one for one in inputs}),
    )


def _ranges(fields: Mapping[str, Any], inputs: Mapping[str, ProgramTensor]) -> tuple[ProgramRange, ...]:
    if "ranges" not in fields:  # written before programs had them
        return ()
    return tuple(_range(one, f"ranges[{at}]", inputs) for at, one in enumerate(_list(fields, "ranges", "it")))


def _range(data: Any, where: str, inputs: Mapping[str, ProgramTensor]) -> ProgramRange:
    fields = _fields(data, where)
    name = _text(fields, "input", where)
    axis, least, most = (fields.get(one) for one in ("axis", "least", "most"))
    shape = inputs[name].shape if name in inputs else ()
    if not (_is_size(axis) and axis < len(shape) and shape[axis] is None):
        raise _Damage(f"{where} is of axis {_shown(axis)} of {_shown(name)}, which is no dynamic axis")
    if not (_is_size(least) and (most is None or (_is_size(most) and least <= most))):
        raise _Damage(f"{where} goes from {_shown(least)} to {_shown(most)}")
    return ProgramRange(name, axis, least, most, _text(fields, "line", where))


def _tensor(data: Any, where: str) -> ProgramTensor:
    fields = _fields(data, where)
    shape = _shape(fields, where, lambda size: size is None or _is_size(size))
    return ProgramTensor(_text(fields, "name", where), shape, _dtype(fields.get("dtype"), where))


def _variable(data: Any, where: str) -> ProgramVariable:
    fields = _fields(data, where)
    if fields.get("kind") not in KINDS:
        raise _Damage(f"{where} is of kind {_shown(fields.get('kind'))}; kinds are {', '.join(KINDS)}")
    if not isinstance(fields.get("trainable"), bool):
        raise _Damage(f"{where} does not say whether it is trainable")
    return ProgramVariable(
        _text(fields, "name", where),
        _shape(fields, where, _is_size),
        _dtype(fields.get("dtype"), where),
        fields["trainable"],
        fields["kind"],
        tuple(_texts(fields, "aliases", where)),
    )


def _graph(data: Any, mode: str, tensors: Sequence[ProgramTensor], variables: set[str]) -> ProgramGraph:
    fields = _fields(data, mode)
    inputs = tuple(_texts(fields, "inputs", mode))
    listed = _distinct(inputs, f"inputs of {mode}")
    held = _fields(fields.get("held"), f"held of {mode}")
    for holder, name in held.items():
        if holder not in listed or not isinstance(name, str) or name not in variables:
            raise _Damage(f"{mode} holds {_shown(name)} in {_shown(holder)}, and one of them is not there")
    given = {tensor.name for tensor in tensors}
    if not given <= listed - held.keys():
        raise _Damage(f"{mode} does not take {_shown(sorted(given - listed.difference(held)))}")
    # Others are numbers and None of the example call: nothing reads them.
    known = given.union(held)
    nodes = []
    for at, one in enumerate(_list(fields, "nodes", mode)):
        node = _node(one, f"{mode}.nodes[{at}]", known)
        nodes.append(node)
        known.add(node.name)
    writes = tuple(_texts(fields, "writes", mode))
    if not set(writes) <= variables:
        raise _Damage(f"{mode} writes {_shown(sorted(set(writes) - variables))}, which are no variables")
    outputs = _list(fields, "outputs", mode)
    _check_argument(outputs, known, f"outputs of {mode}")
    if len(outputs) < len(writes):
        raise _Damage(f"{mode} has {len(outputs)} outputs and writes {len(writes)} variables")
    return ProgramGraph(inputs, dict(held), tuple(nodes), writes, outputs)


def _node(data: Any, where: str, known: set[str]) -> ProgramNode:
    fields = _fields(data, where)
    name, operator = _text(fields, "name", where), _text(fields, "operator", where)
    if name in known:
        raise _Damage(f"{where} has the name {_shown(name)} of an earlier node")
    if not _OPERATOR.fullmatch(operator):
        raise _Damage(f"{where} has the operator {_shown(operator)}, which is no name of one")
    args, kwargs = _list(fields, "args", where), _fields(fields.get("kwargs"), f"kwargs of {where}")
    _check_argument(args, known, where)
    _check_argument(list(kwargs.values()), known, where)
    dtype = fields.get("dtype")
    if isinstance(dtype, list):
        dtype = [one if one is None else _dtype(one, where) for one in dtype]
    elif dtype is not None:
        dtype = _dtype(dtype, where)
    module = _texts(fields, "module", where)
    if len(module) != 2:
        raise _Damage(f"module of {where} is no pair of a path and a class")
    return ProgramNode(
        name, operator, args, dict(kwargs), dtype, (module[0], module[1]), _text(fields, "line", where)
    )


def _check_argument(value: Any, known: set[str], where: str) -> None:
    if isinstance(value, list):
        for inner in value:
            _check_argument(inner, known, where)
    elif isinstance(value, dict):
        kind, inner = next(iter(value.items())) if len(value) == 1 else ("", None)
        allowed: Mapping[str, Any] = {"node": known, "dtype": DTYPES, "number": NUMBERS}
        if not isinstance(inner, str) or inner not in allowed.get(kind, ()):
            raise _Damage(f"{where} takes {_shown(value)}, which nothing before it computes")
    elif not (value is None or isinstance(value, bool | int | float | str)):
        raise _Damage(f"{where} takes a {type(value).__name__}")


def _check_structure(value: Any, leaves: int, where: str) -> None:
    if isinstance(value, list):
        for inner in value:
            _check_structure(inner, leaves, where)
    elif isinstance(value, dict):
        _fields(value, where)
        for inner in value.values():
            _check_structure(inner, leaves, where)
    elif not (value is None or isinstance(value, str) or (_is_size(value) and value < leaves)):
        raise _Damage(f"{where} has the leaf {_shown(value)}, and there are {leaves} values")


def _fields(data: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(data, Mapping) or not all(isinstance(key, str) for key in data):
        raise _Damage(f"{where} is a {type(data).__name__}, and must be a mapping of names")
    return data


def _list(fields: Mapping[str, Any], name: str, where: str) -> list[Any]:
    value = fields.get(name)
    if not isinstance(value, list | tuple):
        raise _Damage(f"{name} of {where} is a {type(value).__name__}, and must be a list")
    return list(value)


def _text(fields: Mapping[str, Any], name: str, where: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise _Damage(f"{name} of {where} is a {type(value).__name__}, and must be a text")
    return value


def _texts(fields: Mapping[str, Any], name: str, where: str) -> list[str]:
    values = _list(fields, name, where)
    if not all(isinstance(one, str) for one in values):
        raise _Damage(f"{name} of {where} must be texts")
    return values


def _shape(fields: Mapping[str, Any], where: str, is_right: Callable[[Any], bool]) -> tuple[Any, ...]:
    sizes = _list(fields, "shape", where)
    if len(sizes) > _MOST_AXES or not all(map(is_right, sizes)):
        raise _Damage(f"{where} has the shape {_shown(sizes)}")
    return tuple(sizes)


def _is_size(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _dtype(value: Any, where: str) -> str:
    if not isinstance(value, str) or value not in DTYPES:
        raise _Damage(f"{where} has the dtype {_shown(value)}, which torch does not have")
    return value


def _distinct(names: Iterable[str], what: str) -> set[str]:
    found: set[str] = set()
    for name in names:
        if name in found:
            raise _Damage(f"two of the {what} are {_shown(name)}")
        found.add(name)
    return found
