"""Memory that a value no longer needs holds the next one.

A program frees each value after its last use: torch.fx writes that into its code. Elementwise calls need no memory at
all: they may write over an argument that nothing uses later.
"""

from __future__ import annotations

import torch
from torch.fx import Graph, Node

from unikeras.backends.torch.passes._memory import Memory
from unikeras.backends.torch.passes._strides import is_dense, value

A = torch.ops.aten
_IN_PLACE = {
    A.relu.default: A.relu_.default,
    A.neg.default: A.neg_.default,
    A.sqrt.default: A.sqrt_.default,
    A.rsqrt.default: A.rsqrt_.default,
    A.exp.default: A.exp_.default,
    A.tanh.default: A.tanh_.default,
    A.sigmoid.default: A.sigmoid_.default,
    A.add.Tensor: A.add_.Tensor,
    A.sub.Tensor: A.sub_.Tensor,
    A.mul.Tensor: A.mul_.Tensor,
    A.div.Tensor: A.div_.Tensor,
}
_COMMUTATIVE = {A.add.Tensor, A.mul.Tensor}
# These take the memory of the result as an argument.
_OUT = {
    A.threshold_backward.default: (A.threshold_backward.grad_input, "grad_input"),
    A.gelu_backward.default: (A.gelu_backward.grad_input, "grad_input"),
    A.tanh_backward.default: (A.tanh_backward.grad_input, "grad_input"),
    A.sigmoid_backward.default: (A.sigmoid_backward.grad_input, "grad_input"),
}


def reuse_buffers(graph: Graph) -> int:
    """Let elementwise calls write over an argument that dies with them."""
    # It stays true of what comes later: no later call uses what is written over.
    memory, count = Memory(graph), 0
    for node in list(graph.nodes):
        if node.target not in _IN_PLACE and node.target not in _OUT:
            continue
        sides = node.args[:2] if node.target in _COMMUTATIVE and not node.kwargs else node.args[:1]
        dying = next((side for side in sides if _dies(memory, side, node)), None)
        if dying is None:
            continue
        if node.target in _OUT:
            target, name = _OUT[node.target]
            node.kwargs = {**node.kwargs, name: dying}
        else:
            target = _IN_PLACE[node.target]
            if dying is not node.args[0]:
                node.args = (dying, node.args[0])
        node.target = target
        count += 1
    return count


def _dies(memory: Memory, argument: object, node: Node) -> bool:
    old, new = value(argument), value(node)
    if not isinstance(argument, Node) or old is None or new is None or not is_dense(old):
        return False
    if (old.shape, old.stride(), old.dtype, old.device) != (new.shape, new.stride(), new.dtype, new.device):
        return False
    owners = memory.owners(argument)
    if memory.escapes(argument) or memory.last_use(argument) != memory.position[node]:
        return False
    return all(other is argument or owners.isdisjoint(memory.owners(other)) for other in node.all_input_nodes)
