"""Why a module cannot be exported, in a sentence each, with what to do."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from typing import Any

from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode, free_unbacked_symbols

from unikeras._base.text import brief
from unikeras.lowering.programs._custom_gradients import CustomGradient
from unikeras.lowering.programs._gradient_stops import DetachedWrite
from unikeras.lowering.programs._graph_reader import line_of, line_of_node
from unikeras.lowering.programs._recurrent_stand_ins import PackedInput

_PACKED = (
    "uses packed sequences, whose sizes depend on values; pass padded tensors, and a mask where they end"
)
_BRANCH = "lets Python depend on a tensor's values; compute both sides and choose with torch.where"
# What torch says, and the sentence for it.
_SENTENCES = {
    "data-dependent": _BRANCH,
    ".numpy() is not supported": "leaves torch for numpy; compute with torch's functions instead",
    "which is not a known type": (
        "returns what is neither a tensor nor a number; return tensors in tuples, lists, dicts or dataclasses (with "
        "transformers, pass use_cache=False)"
    ),
    "ScriptModule is not supported": "is a ScriptModule; import the nn.Module that it was made of",
    "fake tensor in the exported program constant": "reads memory past torch's trace, often by x.data; use x.detach()",
    "autocast must exit": "enters torch.autocast without leaving it; use a with block",
}


def reason_of(error: Exception) -> str:
    """Return why `torch.export` failed, as the end of a sentence about the module."""
    frames = traceback.extract_tb(error.__traceback__)
    line = line_of((frame.filename, frame.lineno, frame.name) for frame in frames)
    return f"{_sentence(error, frames)}{f' ({line})' if line else ''}"


def _sentence(error: Exception, frames: Any) -> str:
    if isinstance(error, CustomGradient):
        return (
            f"calls {error}, a torch.autograd.Function, whose backward pass torch.export does not keep; write it with "
            "torch's functions and detach()"
        )
    if isinstance(error, DetachedWrite):
        where = f" ({error})" if str(error) else ""
        return (
            f"changes a detached tensor in place that has gradients{where}; compute a new tensor, "
            "as in x + (y - x).detach()"
        )
    if isinstance(error, PackedInput) or any(frame.name.startswith("pack_") for frame in frames):
        return _PACKED
    if isinstance(error, GuardOnDataDependentSymNode):
        return _BRANCH
    for words, sentence in _SENTENCES.items():
        if words in str(error):
            return sentence
    return f"cannot be exported by torch: {brief(error)}"


def unsupported_nodes(exported: Any) -> Iterator[str]:
    """Yield what a graph has that no program can say, as ends of sentences."""
    for node in exported.graph.nodes:
        value = node.meta.get("val")
        line = line_of_node(node)
        where = f" ({line})" if line else ""
        if node.op == "get_attr":
            user = next(iter(node.users), node)
            yield f"uses torch.{user.name.rstrip('_0123456789')}, which has no counterpart in a program{where}"
        elif hasattr(value, "shape") and free_unbacked_symbols(value.shape):
            yield f"makes a tensor by {node.target} whose size depends on values; keep all places and mask them{where}"
            return
