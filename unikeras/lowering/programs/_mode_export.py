"""One mode of a module through torch.export."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any

import torch

from unikeras._base.library_warnings import EXPORTED_PROGRAM, ignore_warnings
from unikeras.lowering.programs._custom_gradients import custom_gradients_refused
from unikeras.lowering.programs._dynamic_axes import Axes
from unikeras.lowering.programs._example_inputs import ExampleInputs
from unikeras.lowering.programs._gradient_stops import keep_stops
from unikeras.lowering.programs._graph_reader import drop_checks, operator_name
from unikeras.lowering.programs._recurrent_stand_ins import stand_in_for_recurrent
from unikeras.lowering.programs._untouched_module import untouched

# What it logs is what the error says that is raised right after.
_NOISE = ("torch._subclasses.fake_tensor",)
# It is read where an axis is fixed, so that its level stays what it is.
SIZES_LOG = "torch.fx.experimental.symbolic_shapes"


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
    with untouched(module), _plain_torch(), custom_gradients_refused():
        module.train(training)
        stand_in_for_recurrent(module)
        exported = torch.export.export(module, args, kwargs, dynamic_shapes=shapes, strict=False)
    keep_stops(exported.graph_module, exported.graph_signature.inputs_to_parameters)
    table = torch.export.default_decompositions()
    for operator in [operator for operator in table if keep(operator_name(operator))]:
        del table[operator]
    with _plain_torch():
        exported = exported.run_decompositions(table)
    drop_checks(exported.graph_module)
    return exported


@contextlib.contextmanager
def _plain_torch() -> Iterator[None]:
    """Leave the caller's autocast, no_grad and inference mode, and keep its random numbers and its log as they are."""
    fast = torch.backends.mha.get_fastpath_enabled()
    # The fast path of nn.MultiheadAttention is one fused operator, which nothing decomposes.
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with (
            torch.inference_mode(False),
            torch.enable_grad(),
            torch.autocast("cpu", enabled=False),
            torch.random.fork_rng(devices=[]),
            ignore_warnings(*EXPORTED_PROGRAM, loggers=_NOISE),
            _silent(logging.getLogger(SIZES_LOG)),
        ):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


@contextlib.contextmanager
def _silent(logger: logging.Logger) -> Iterator[None]:
    def drop(_: logging.LogRecord) -> bool:
        return False

    logger.addFilter(drop)
    try:
        yield
    finally:
        logger.removeFilter(drop)
