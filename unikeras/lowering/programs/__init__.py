"""A module of PyTorch as a program: what it computes in either mode, as data that needs no torch to be read.

module_program     exports a module and writes its two graphs
example_inputs     the tensors of an example call, and how they are nested
dynamic_axes       which of their axes have any size
mode_export        one mode through torch.export, with only those operators decomposed that nobody keeps
stand_ins          operators of ours for what the export loses: gradient stops and recurrent layers
program_tensors    parameters, buffers and constants, with the names that share memory
size_ranges        which sizes of a dynamic axis the graphs hold for
graph_reader       an exported graph as the nodes of a program
"""

from unikeras.lowering.programs._module_answers import ModuleAnswers, module_answers
from unikeras.lowering.programs._module_program import module_program

__all__ = ["ModuleAnswers", "module_answers", "module_program"]
