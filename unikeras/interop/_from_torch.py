"""A module of PyTorch as a Keras model."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from unikeras._base.optional import require
from unikeras.errors import ArgumentError
from unikeras.interop._import_check import check_import
from unikeras.interop._import_report import ImportReport
from unikeras.interop._imported_module import ImportedModule
from unikeras.interop.operators import find


def from_torch(
    module: Any, example_inputs: Any, dynamic: Any = None, trainable: bool = True, verify: bool = True
) -> ImportedModule:
    """Return a module of PyTorch as a Keras model that trains on every backend.

    torch exports the module in both modes, and Keras' operations run what it exported. The model takes the module's own
    inputs in their layout, channels first, and needs no torch: its `.keras` file loads where torch is not installed.

    Args:
        module: a `torch.nn.Module` that `torch.export` can trace; it is not changed.
        example_inputs: torch tensors of any nesting: a tuple of the positional arguments, a dict of arguments by name,
            or the one tensor. None, numbers and strings are fixed in the model.
        dynamic: which axes have any size, nested as the inputs are: for each tensor `{axis: name}` or a tuple of names.
            Axes of one name have one size. None: axis 0 of every tensor.
        trainable: whether the parameters train that require gradients in the module; others never do.
        verify: compare the model with the module at two sizes, in a process of the current backend: outputs in both
            modes, gradients of all parameters, running statistics, and steps of Adam.

    Returns:
        An `ImportedModule`; its `import_report` has what was compared.

    Raises:
        UnknownOperator: operators have no rule; all of them are named. `register_operator` adds one.
        CannotImport: torch cannot export the module; the message has its reason.
        ParityError: the model computes something else than the module; the message names what differs first.
        ArgumentError: it is no module, or the inputs are no tensors.
        ArgumentValueError: `dynamic` does not fit the inputs.
        MissingDependency: torch is not installed.

    Source: torch.export.export, for what can be traced.

    Example:
        >>> import numpy as np, torch
        >>> import unikeras as uk
        >>> net = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
        >>> model = uk.interop.from_torch(net, (torch.zeros(4, 3),))
        >>> tuple(model(np.zeros((7, 3), "float32")).shape)
        (7, 2)
    """
    require("torch", "torch", "from_torch")
    from unikeras.lowering import is_torch_module, module_program

    if not is_torch_module(module):
        raise ArgumentError(f"from_torch takes a torch.nn.Module; received {type(module).__qualname__}")
    started = time.perf_counter()
    program, arrays = module_program(
        module, example_inputs, dynamic, keep=lambda name: find(name) is not None
    )
    model = ImportedModule(program, arrays)
    exported = time.perf_counter()
    trials, notes = check_import(module, example_inputs, program, arrays) if verify else ([], [])
    model.trainable = trainable
    model.import_report = ImportReport(
        program.name,
        dict(Counter(node.operator for node in program.eval.nodes)),
        trials,
        {"export": exported - started, "verify": time.perf_counter() - exported},
        notes,
    )
    return model
