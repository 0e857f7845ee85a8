"""A module of PyTorch as a program: two graphs over one set of arrays."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from unikeras._specs.structure import leaves_as, take_apart
from unikeras._specs.torch_program import ProgramGraph, ProgramTensor, TorchProgram
from unikeras.errors import ArgumentError, CannotImport
from unikeras.lowering.programs._dynamic_axes import Axes, enlarge, read_axes
from unikeras.lowering.programs._example_inputs import ExampleInputs
from unikeras.lowering.programs._export_failures import reason_of, unsupported_nodes
from unikeras.lowering.programs._frozen_axes import describe_frozen, frozen_axes
from unikeras.lowering.programs._graph_reader import encode, read_nodes
from unikeras.lowering.programs._mode_export import export_mode
from unikeras.lowering.programs._plain_outputs import plain
from unikeras.lowering.programs._program_tensors import ProgramTensors, dtype_name
from unikeras.lowering.programs._size_ranges import size_ranges
from unikeras.lowering.programs._stand_in_operators import stand_in

Array = np.ndarray[Any, Any]


def module_program(
    module: torch.nn.Module, example_inputs: Any, dynamic: Any = None, *, keep: Callable[[str], bool]
) -> tuple[TorchProgram, dict[str, Array]]:
    """Return what a module computes, and its parameters, buffers and constants.

    Args:
        module: the module, which is untouched afterwards.
        example_inputs: its positional arguments in a tuple, its arguments by name in a dict, or one tensor. Tensors are
            the inputs of the program; None, numbers and strings are fixed.
        dynamic: the dynamic axes, nested as the inputs are: for each tensor `{axis: name}` or a tuple of names. Axes of
            one name have one size. None: the first axis of every tensor, but for those of size 1 next to larger ones.
            An example may have a batch of 1: it is exported with two of what a dynamic axis has one of.
        keep: says for a name such as `"aten.linear.default"` whether the operator stays whole; others are decomposed.

    Raises:
        ArgumentError: the module is none, or example inputs are neither tensors nor plain values.
        ArgumentValueError: dynamic does not fit the example inputs.
        CannotImport: torch cannot export the module, or its graph holds what a program cannot say.
    """
    if not isinstance(module, torch.nn.Module):
        raise ArgumentError(f"expected a torch.nn.Module, received a {type(module).__name__}")
    inputs = ExampleInputs.of_call(example_inputs)
    axes = read_axes(dynamic, inputs)
    inputs = enlarge(inputs, axes).on(_device(module))
    tensors = ProgramTensors(module)
    _refuse(module, _unsupported_tensors(tensors, inputs))
    exported = _export_both(module, inputs, axes, keep)
    graphs = {training: _read_graph(graph, tensors) for training, graph in exported.items()}
    writes = {name for graph in graphs.values() for name in graph.writes}
    _refuse(
        module, [f"has {one} and {other} in one memory, in part" for one, other in tensors.overlaps(writes)]
    )
    program = TorchProgram(
        torch=torch.__version__,
        inputs=_inputs(exported[False], inputs, axes),
        inputs_structure=inputs.structure,
        outputs_structure=_outputs_structure(exported[False]),
        variables=tensors.variables(),
        eval=graphs[False],
        train=graphs[True],
        name=type(module).__name__,
        ranges=size_ranges(exported.values(), _node_names(exported[False], inputs), axes),
    )
    return program, tensors.arrays()


def _refuse(module: torch.nn.Module, reasons: list[str]) -> None:
    if reasons:
        reasons = list(dict.fromkeys(reasons))
        raise CannotImport(f"{type(module).__name__} {'; it '.join(reasons)}", reasons)


def _device(module: torch.nn.Module) -> torch.device:
    tensor = next(iter([*module.parameters(), *module.buffers()]), None)
    return torch.device("cpu") if tensor is None else tensor.device


def _unsupported_tensors(tensors: ProgramTensors, inputs: ExampleInputs) -> list[str]:
    complex_inputs = [inputs.paths[number] for number in inputs.tensors if inputs.leaves[number].is_complex()]
    names = [*complex_inputs, *tensors.complex_names()]
    return (
        [f"has complex numbers in {', '.join(names)}; pass their real and imaginary parts"] if names else []
    )


def _export_both(
    module: torch.nn.Module, inputs: ExampleInputs, axes: Axes, keep: Callable[[str], bool]
) -> dict[bool, Any]:
    """Return the export of each mode, by whether it is the train mode."""
    exported: dict[bool, Any] = {}
    reasons: list[str] = []
    for training in (False, True):
        export = functools.partial(export_mode, module, inputs, axes, keep, training=training)
        try:
            exported[training] = export()
        except Exception as error:  # whatever the module, or torch, raises
            if not reasons:
                failure = error
            reasons.append(reason_of(error))
            continue
        names = _node_names(exported[training], inputs)
        reasons += unsupported_nodes(exported[training])
        reasons += _changed_inputs(exported[training], names, inputs)
        if frozen := frozen_axes(exported[training], names, axes):
            reasons += describe_frozen(frozen, names, inputs, axes, export)
    try:
        _refuse(module, reasons)
    except CannotImport as refusal:
        if len(exported) == 2:
            raise
        raise refusal from failure
    return exported


def _node_names(exported: Any, inputs: ExampleInputs) -> dict[int, str]:
    """Return the node of each leaf of the example."""
    specs = [spec for spec in exported.graph_signature.input_specs if spec.kind.name == "USER_INPUT"]
    args, kwargs = exported.call_spec.in_spec.unflatten(range(len(specs)))
    places = leaves_as(inputs.nested, kwargs if isinstance(inputs.nested, dict) else list(args))
    return {number: specs[place].arg.name for number, place in enumerate(places)}


def _changed_inputs(exported: Any, names: dict[int, str], inputs: ExampleInputs) -> list[str]:
    changed = {
        spec.target
        for spec in exported.graph_signature.output_specs
        if spec.kind.name == "USER_INPUT_MUTATION"
    }
    return [
        f"changes {inputs.paths[number]} in place; clone it first"
        for number, name in names.items()
        if name in changed
    ]


def _inputs(exported: Any, inputs: ExampleInputs, axes: Axes) -> tuple[ProgramTensor, ...]:
    names = _node_names(exported, inputs)
    return tuple(
        ProgramTensor(
            names[number],
            tuple(
                None if axis in axes.get(number, {}) else size
                for axis, size in enumerate(inputs.leaves[number].shape)
            ),
            dtype_name(inputs.leaves[number].dtype),
        )
        for number in inputs.tensors
    )


def _outputs_structure(exported: Any) -> Any:
    spec = exported.call_spec.out_spec
    return take_apart(plain(spec.unflatten(range(spec.num_leaves))))[0]


def _read_graph(exported: Any, tensors: ProgramTensors) -> ProgramGraph:
    signature = exported.graph_signature
    held: dict[str, str] = {}
    for spec in signature.input_specs:
        if spec.kind.name != "USER_INPUT":
            name = tensors.owner(spec.target)
            if name is None:
                name, is_stopped = tensors.add_constant(spec.target, exported.constants[spec.target])
                if is_stopped:
                    _stop_at(exported.graph, spec.arg.name)
            held[spec.arg.name] = name
    writes = [
        tensors.owner(spec.target) or held[_node_of(signature, spec.target)]
        for spec in signature.output_specs
        if spec.kind.name != "USER_OUTPUT"
    ]
    return ProgramGraph(
        inputs=tuple(node.name for node in exported.graph.nodes if node.op == "placeholder"),
        held=held,
        nodes=read_nodes(exported.graph_module),
        writes=tuple(writes),
        outputs=encode(exported.graph.output_node().args[0]),
    )


def _node_of(signature: Any, target: str) -> str:
    return next(spec.arg.name for spec in signature.input_specs if spec.target == target)


def _stop_at(graph: Any, name: str) -> None:
    """Let no gradient through a variable that the module reads without one."""
    placeholders = [node for node in graph.nodes if node.op == "placeholder"]
    held = next(node for node in placeholders if node.name == name)
    with graph.inserting_after(placeholders[-1]):
        stopped = graph.call_function(stand_in("stop"), (held,))
    stopped.meta = dict(held.meta)
    held.replace_all_uses_with(stopped, lambda user: user is not stopped)
