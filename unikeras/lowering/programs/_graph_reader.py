"""An exported graph of torch as the nodes of a program."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import torch
from torch import fx

from unikeras._specs.torch_program import ProgramNode
from unikeras.lowering.programs._program_tensors import dtype_name

_TORCH = str(Path(torch.__file__).parent)
_FRAME = re.compile(r'File "([^"]+)", line (\d+), in (.+)')
# What only checks sizes and dtypes: a program's runner does that by itself.
_CHECKS = ("_assert", "sym_constrain", "_functional_sym")


def drop_checks(module: fx.GraphModule) -> None:
    """Remove assertions, and what is computed only for them."""
    for node in reversed(module.graph.nodes):
        if node.op == "call_function" and any(word in str(node.target) for word in _CHECKS):
            module.graph.erase_node(node)
    module.graph.eliminate_dead_code()


def read_nodes(module: fx.GraphModule) -> tuple[ProgramNode, ...]:
    """Return the operators of a graph, in order."""
    return tuple(_read(node) for node in module.graph.nodes if node.op == "call_function")


def encode(value: Any) -> Any:
    """Return an argument as a program holds it; devices, layouts and memory formats become None."""
    if isinstance(value, (list, tuple)):
        return [encode(item) for item in value]
    if isinstance(value, fx.Node):
        return {"node": value.name}
    if isinstance(value, torch.dtype):
        return {"dtype": dtype_name(value)}
    if isinstance(value, float) and not math.isfinite(value):
        return {"number": str(value)}
    return value if isinstance(value, (bool, int, float, str)) else None


def operator_name(target: Any) -> str:
    """Return `"aten.linear.default"`, or `"py.add"` for a function of Python."""
    return str(target) if hasattr(target, "overloadpacket") else f"py.{target.__name__}"


def _read(node: fx.Node) -> ProgramNode:
    value = node.meta.get("val")
    return ProgramNode(
        node.name,
        operator_name(node.target),
        encode(node.args),
        {name: encode(argument) for name, argument in node.kwargs.items()},
        [_dtype(item) for item in value] if isinstance(value, (list, tuple)) else _dtype(value),
        _place(node),
        _line(node.meta.get("stack_trace") or ""),
    )


def _dtype(value: Any) -> str | None:
    return dtype_name(value.dtype) if isinstance(value, torch.Tensor) else None


def _place(node: fx.Node) -> tuple[str, str]:
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    path, kind = stack[-1] if stack else ("", "")
    if path.startswith("_empty_nn_module_stack"):
        return "", ""
    return path, re.sub(r"^torch\.nn\.modules\.\w+\.", "torch.nn.", str(kind))


def _line(trace: str) -> str:
    """Return the innermost line that is not torch's own."""
    own = [frame for frame in _FRAME.findall(trace) if not frame[0].startswith((_TORCH, "torch/", "<"))]
    return f"{Path(own[-1][0]).name}:{own[-1][1]}, in {own[-1][2]}" if own else ""
