"""A Keras graph as a native module of PyTorch, from any backend; what is in PyTorch's modules, as plain data.

The graph is read from Keras' own record of it (nodes, configurations, weights as numpy arrays); no
computation of Keras runs, and the module that comes out does not know Keras.

    registry    which layers are known: one rule for each class, in `rules/`
    graph       follows the nodes of the model and lets each rule write its part of a `torch.fx.Graph`
    values      the tensors of that graph, with their layout and their mask
    modules     what torch has no module for (recurrences under a mask, or as a scan)
    sources     a lowered module as Python source, and the module that the source makes
    state       the tensors and settings of modules
    programs    the other way: a module of PyTorch as data that Keras can run
"""

from unikeras.errors import CannotLower
from unikeras.lowering._module_state import (
    ModuleSettings,
    arrays_of,
    read_checkpoint,
    settings_of,
    state_of,
    tensors_of,
)
from unikeras.lowering._recorded_module import ModuleCall, is_torch_module, run_module
from unikeras.lowering._rule_registry import register
from unikeras.lowering._to_module import to_module
from unikeras.lowering._to_torch import to_torch
from unikeras.lowering.programs import ModuleAnswers, module_answers, module_program
from unikeras.lowering.sources import WrittenModule

__all__ = [
    "CannotLower",
    "ModuleAnswers",
    "ModuleCall",
    "ModuleSettings",
    "WrittenModule",
    "arrays_of",
    "is_torch_module",
    "module_answers",
    "module_program",
    "read_checkpoint",
    "register",
    "run_module",
    "settings_of",
    "state_of",
    "tensors_of",
    "to_module",
    "to_torch",
]
