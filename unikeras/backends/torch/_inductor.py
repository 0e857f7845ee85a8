"""A program's graph compiled by Inductor: fused kernels, made by a C++ compiler on CPU and by Triton on CUDA."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.fx import Graph, GraphModule
from torch.utils import _pytree

from unikeras.errors import BackendUnavailable


def compile(graph_module: GraphModule, example_inputs: Sequence[Any]) -> Callable[..., Any]:
    """Compile one graph whole; what was compiled is found in Inductor's cache by the next process.

    Inductor gets the graph itself: `torch.compile` would first trace its Python code, which takes longer than the
    compilation of a small model, and would check its guards in each call.

    Args:
        graph_module: a graph over tensors of fixed shapes, which may write its inputs in place.
        example_inputs: its arguments; only their shapes, strides, dtypes and devices count.

    Returns:
        What is called as the graph is. It must be called without recording gradients.

    Raises:
        BackendUnavailable: without a C++ compiler, for a graph on CPU.
    """
    from torch._inductor.compile_fx import compile_fx

    graph = graph_module.graph
    leaves = graph.process_inputs(*example_inputs)
    if any(isinstance(leaf, torch.Tensor) and leaf.device.type == "cpu" for leaf in leaves):
        _check_compiler()
    with torch.no_grad():
        run = compile_fx(_without_structure(graph_module), list(leaves))

    def call(*args: Any) -> Any:
        return graph.process_outputs(run(*graph.process_inputs(*args)))

    return call


def _without_structure(graph_module: GraphModule) -> GraphModule:
    """Return the graph over its flat inputs and outputs; Inductor changes it."""
    graph = Graph()
    outputs = graph.graph_copy(graph_module.graph, {})
    graph.output(tuple(_pytree.tree_leaves(outputs)))
    return GraphModule(graph_module, graph)


def _check_compiler() -> None:
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler as error:
        raise BackendUnavailable(
            "jit_compile=True on PyTorch compiles with a C++ compiler on CPU, and none was found on PATH or in CXX. "
            'Install one (on Debian and Ubuntu: apt install g++), or use jit_compile="auto".'
        ) from error
