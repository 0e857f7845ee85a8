"""The last step of every ONNX writer: the model's own names, named axes, metadata, and the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from unikeras._specs.signature import Signature, TensorSpec, numpy_dtype, unique
from unikeras.export._metadata import KEY, dumps

# What a writer calls inputs and outputs until `save`: names that no toolchain makes up by itself.
INPUT, OUTPUT = "unikeras_input_{}", "unikeras_output_{}"


def save(proto: Any, path: Path, signature: Signature, metadata: Mapping[str, Any]) -> None:
    """Finish a converted graph and write it.

    Args:
        proto: an `onnx.ModelProto` whose inputs and outputs are called by `INPUT` and `OUTPUT`, in any
            order; an input that nothing uses may be missing.
        path: where to.
        signature: whose names and axes it gets.
        metadata: kept in the file's properties.

    Raises:
        ValueError: an output of the signature is not in the graph.
    """
    import onnx

    graph = proto.graph
    _set_side(graph.input, signature.inputs, INPUT, may_lack=True)
    _set_side(graph.output, signature.outputs, OUTPUT, may_lack=False)
    _rename(graph, signature)
    for part in _graphs(graph):
        # torch.onnx notes the steps of a GRU's result as its units; runtimes find the sizes inside by themselves.
        del part.value_info[:]
    onnx.helper.set_model_props(proto, {KEY: dumps(metadata)})
    onnx.save(proto, str(path))


def _set_side(side: Any, specs: Sequence[TensorSpec], pattern: str, may_lack: bool) -> None:
    """Bring inputs, or outputs, into the signature's order, with its axes."""
    import onnx

    there = {value.name for value in side}
    names = [pattern.format(number) for number in range(len(specs))]
    lost = [spec.name for spec, name in zip(specs, names, strict=True) if name not in there]
    if lost and not may_lack:
        raise ValueError(f"the converted graph has lost {', '.join(lost)}")
    del side[:]
    for name, spec in zip(names, specs, strict=True):
        element = onnx.helper.np_dtype_to_tensor_dtype(numpy_dtype(spec.dtype))
        axes = [spec.dynamic.get(axis, size) for axis, size in enumerate(spec.shape or ())]
        side.append(onnx.helper.make_tensor_value_info(name, element, axes))


def _rename(graph: Any, signature: Signature) -> None:
    """Give inputs and outputs their own names, and way to them where something inside has one of these.

    A name stands for one value in a graph, so an output called like an input becomes `name_1`.
    """
    temporary = [INPUT.format(number) for number in range(len(signature.inputs))]
    temporary += [OUTPUT.format(number) for number in range(len(signature.outputs))]
    final = dict(zip(temporary, unique(signature.input_names + signature.output_names), strict=True))
    inside = {name for strings in _name_lists(graph) for name in strings} - set(final)
    final |= {name: f"{name}/inner" for name in inside & set(final.values())}
    for strings in _name_lists(graph):
        strings[:] = [final.get(name, name) for name in strings]
    for value in _named_values(graph):
        value.name = final.get(value.name, value.name)


def _graphs(graph: Any) -> Iterator[Any]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in [attribute.g] if attribute.HasField("g") else attribute.graphs:
                yield from _graphs(inner)


def _name_lists(graph: Any) -> Iterator[Any]:
    for part in _graphs(graph):
        for node in part.node:
            yield node.input
            yield node.output


def _named_values(graph: Any) -> Iterator[Any]:
    for part in _graphs(graph):
        yield from (*part.input, *part.output, *part.initializer)
