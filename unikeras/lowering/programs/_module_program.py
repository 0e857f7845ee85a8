"""A module of PyTorch as a program: two graphs over one set of arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from unikeras._specs.structure import leaves_as, take_apart
from unikeras._specs.torch_program import ProgramGraph, ProgramTensor, TorchProgram
from unikeras.lowering.programs._dynamic_axes import Axes, enlarge, read_axes
from unikeras.lowering.programs._example_inputs import ExampleInputs
from unikeras.lowering.programs._graph_reader import encode, read_nodes
from unikeras.lowering.programs._mode_export import export_mode
from unikeras.lowering.programs._plain_outputs import plain
from unikeras.lowering.programs._program_tensors import ProgramTensors, dtype_name

Array = np.ndarray[Any, Any]


def module_program(
    module: torch.nn.Module, example_inputs: Any, dynamic: Any = None, *, keep: Callable[[str], bool]
) -> tuple[TorchProgram, dict[str, Array]]:
    """Return what a module computes, and its parameters, buffers and constants.

    Args:
        module: the module, which is untouched afterwards.
        example_inputs: its positional arguments in a tuple, its arguments by name in a dict, or one tensor.
        dynamic: the dynamic axes, nested as the inputs are: for each tensor `{axis: name}` or a tuple of names. Axes of
            one name have one size. None: the first axis of every tensor.
        keep: says for a name such as `"aten.linear.default"` whether the operator stays whole; others are decomposed.
    """
    inputs = ExampleInputs.of_call(example_inputs)
    axes = read_axes(dynamic, inputs)
    inputs = enlarge(inputs, axes)
    tensors = ProgramTensors(module)
    exported = {
        training: export_mode(module, inputs, axes, keep, training=training) for training in (False, True)
    }
    graphs = {training: _read_graph(program, tensors) for training, program in exported.items()}
    program = TorchProgram(
        torch=torch.__version__,
        inputs=_inputs(exported[False], inputs, axes),
        inputs_structure=inputs.structure,
        outputs_structure=_outputs_structure(exported[False]),
        variables=tensors.variables(),
        eval=graphs[False],
        train=graphs[True],
        name=type(module).__name__,
    )
    return program, tensors.arrays()


def _inputs(exported: Any, inputs: ExampleInputs, axes: Axes) -> tuple[ProgramTensor, ...]:
    specs = [spec for spec in exported.graph_signature.input_specs if spec.kind.name == "USER_INPUT"]
    args, kwargs = exported.call_spec.in_spec.unflatten(range(len(specs)))
    places = leaves_as(inputs.nested, kwargs if isinstance(inputs.nested, dict) else list(args))
    return tuple(
        ProgramTensor(
            specs[places[number]].arg.name,
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
    held = {}
    for spec in signature.input_specs:
        if spec.kind.name != "USER_INPUT":
            is_known = tensors.has(spec.target)
            held[spec.arg.name] = (
                tensors.owner(spec.target)
                if is_known
                else tensors.add_constant(spec.target, exported.constants[spec.target])
            )
    writes = [spec.target for spec in signature.output_specs if spec.kind.name != "USER_OUTPUT"]
    return ProgramGraph(
        inputs=tuple(node.name for node in exported.graph.nodes if node.op == "placeholder"),
        held=held,
        nodes=read_nodes(exported.graph_module),
        writes=tuple(tensors.owner(name) for name in writes),
        outputs=encode(exported.graph.output_node().args[0]),
    )
