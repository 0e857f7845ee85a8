"""Constants: what does not depend on the inputs is computed once, when the graph is simplified."""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import Graph, Node
from torch.utils import _pytree
from torch.utils._python_dispatch import _disable_current_modes

from unikeras.backends.torch.passes._memory import Memory, is_operator, is_pure, nodes_in
from unikeras.backends.torch.passes._strides import value

A = torch.ops.aten
_LARGEST = 1 << 20  # bytes: a larger value is computed in each call rather than kept
# Only the shape of the argument counts.
_LIKE = {A.ones_like.default, A.zeros_like.default, A.full_like.default}


def fold_constants(graph: Graph) -> int:
    """Compute pure calls on constants now, and keep their values in the graph's module."""
    if graph.owning_module is None:
        return 0
    memory = Memory(graph)
    known: dict[Node, torch.Tensor] = {}
    for node in graph.nodes:
        if (constant := _compute(graph, memory, node, known)) is not None:
            known[node] = constant
    folded = [
        node for node in known if node.op != "get_attr" and any(user not in known for user in node.users)
    ]
    for node in folded:
        _keep(graph, node, known[node])
    return len(folded)


def _compute(
    graph: Graph, memory: Memory, node: Node, known: dict[Node, torch.Tensor]
) -> torch.Tensor | None:
    if node.op == "get_attr":
        constant = getattr(graph.owning_module, node.target, None)
        return constant if isinstance(constant, torch.Tensor) and memory.is_constant(node) else None
    fake = value(node)
    if fake is None or not is_operator(node) or not is_pure(node):
        return None
    if not memory.is_constant(node) or memory.is_returned(node) or fake.numel() * fake.itemsize > _LARGEST:
        return None
    args = node.args
    if node.target in _LIKE and (shape := value(args[0])) is not None and args[0] not in known:
        args = (
            torch.empty_strided(shape.shape, shape.stride(), dtype=shape.dtype, device=shape.device),
            *args[1:],
        )
    if any(argument not in known for argument in nodes_in((args, node.kwargs))):
        return None
    args, kwargs = _pytree.tree_map_only(Node, known.__getitem__, (args, node.kwargs))
    with _disable_current_modes(), torch.no_grad():
        result: Any = node.target(*args, **kwargs)
    return result if isinstance(result, torch.Tensor) and result.stride() == fake.stride() else None


def _keep(graph: Graph, node: Node, constant: torch.Tensor) -> None:
    module = graph.owning_module
    assert module is not None
    index = 0
    while hasattr(module, name := f"_folded_constant{index}"):
        index += 1
    module.register_buffer(name, constant, persistent=False)
    with graph.inserting_before(node):
        kept = graph.create_node("get_attr", name)
    kept.meta["val"] = node.meta["val"]
    node.replace_all_uses_with(kept)
    graph.erase_node(node)
