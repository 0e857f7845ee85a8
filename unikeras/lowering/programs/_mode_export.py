"""One mode of a module through torch.export."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from unikeras._base.library_warnings import EXPORTED_PROGRAM, ignore_warnings
from unikeras.lowering.programs._dynamic_axes import Axes
from unikeras.lowering.programs._example_inputs import ExampleInputs
from unikeras.lowering.programs._gradient_stops import keep_stops
from unikeras.lowering.programs._graph_reader import drop_checks, operator_name
from unikeras.lowering.programs._recurrent_stand_ins import stand_in_for_recurrent
from unikeras.lowering.programs._untouched_module import untouched


def export_mode(
    module: torch.nn.Module, inputs: ExampleInputs, axes: Axes, keep: Callable[[str], bool], *, training: bool
) -> Any:
    """Return a module's `torch.export.ExportedProgram` in one mode, functional and without checks.

    Args:
        module: the module, which is untouched afterwards.
        inputs: the example.
        axes: the dynamic axes of the example.
        keep: says whether an operator stays whole.
        training: whether the module is in train mode.
    """
    args, kwargs = inputs.call_arguments()
    shapes = torch.export.ShapesCollection()
    for number, names in axes.items():
        shapes[inputs.leaves[number]] = dict.fromkeys(names, torch.export.Dim.AUTO)
    with untouched(module), torch.enable_grad(), ignore_warnings(*EXPORTED_PROGRAM):
        module.train(training)
        stand_in_for_recurrent(module)
        exported = torch.export.export(module, args, kwargs, dynamic_shapes=shapes, strict=False)
    keep_stops(exported.graph_module)
    table = torch.export.default_decompositions()
    for operator in [operator for operator in table if keep(operator_name(operator))]:
        del table[operator]
    with ignore_warnings(*EXPORTED_PROGRAM):
        exported = exported.run_decompositions(table)
    drop_checks(exported.graph_module)
    return exported
