"""What a module of PyTorch computes, as data: two graphs of operators over one set of arrays.

torch's side writes it (`lowering`), and `interop` runs it with Keras' operations on any backend. It is plain JSON and
arrays: no code, no pickle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

# Bumped when a reader of the former one would compute something else.
FORMAT = 1


@dataclass(frozen=True)
class ProgramTensor:
    """An input of the module.

    Attributes:
        name: of its node in both graphs.
        shape: None for a dynamic axis.
        dtype: torch's, such as `"float32"` or `"int64"`.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str


@dataclass(frozen=True)
class ProgramRange:
    """The sizes of a dynamic axis that the graphs hold for.

    Attributes:
        input: the tensor's name.
        axis: its number.
        least: the least size.
        most: the largest size, or None.
        line: where in the module's source; empty where torch does not know.
    """

    input: str
    axis: int
    least: int = 0
    most: int | None = None
    line: str = ""


@dataclass(frozen=True)
class ProgramVariable:
    """A parameter or a buffer of the module, or a constant that its trace met.

    Attributes:
        name: torch's dotted one, such as `"layer1.0.weight"`. Tied names have one variable.
        shape: of the array.
        dtype: torch's.
        trainable: a parameter that requires gradients.
        kind: `"parameter"`, `"buffer"` or `"constant"`. A buffer that is in no state_dict is a constant.
        aliases: further names of the same memory in a state_dict.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    trainable: bool
    kind: str
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class ProgramNode:
    """One call of an operator.

    Attributes:
        name: of its result.
        operator: such as `"aten.linear.default"`, `"py.add"` for arithmetic of sizes, or one of ours in the namespace
            `unikeras_program`.
        args: encoded: a number, string, bool, None, list, `{"node": name}`, `{"dtype": "float32"}`,
            `{"number": "inf"}`.
        kwargs: likewise.
        dtype: torch's dtype of the result, or a list where there are several; None for what is no tensor.
        module: path and class of the module that called it, such as `("layer1.0", "torch.nn.Linear")`.
        line: where in the module's source, such as `"model.py:12, in forward"`; empty where torch does not know.
    """

    name: str
    operator: str
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    dtype: Any
    module: tuple[str, str] = ("", "")
    line: str = ""


@dataclass(frozen=True)
class ProgramGraph:
    """The operators of one mode, in order.

    Attributes:
        inputs: names of nodes that are given: user inputs and variables.
        held: for the nodes among `inputs` that are variables, the variable's name.
        nodes: in an order in which each comes after what it reads.
        writes: names of variables that get new values; these are the first of `outputs`, in this order.
        outputs: encoded like arguments: the new values, then the flat outputs of the module.
    """

    inputs: tuple[str, ...]
    held: Mapping[str, str]
    nodes: tuple[ProgramNode, ...]
    writes: tuple[str, ...]
    outputs: Sequence[Any]


@dataclass(frozen=True)
class TorchProgram:
    """A module's two graphs.

    Attributes:
        torch: the version that wrote it.
        inputs: the tensors that a call takes, flat.
        inputs_structure: how they are nested, as `structure` writes it; the positional arguments as a list.
        outputs_structure: how the outputs are nested.
        variables: parameters first, in the module's order, then buffers, then constants.
        eval: the graph of `module.eval()`.
        train: the graph of `module.train()`.
        name: the class of the module.
        ranges: of dynamic axes that do not take any size.
    """

    torch: str
    inputs: tuple[ProgramTensor, ...]
    inputs_structure: Any
    outputs_structure: Any
    variables: tuple[ProgramVariable, ...]
    eval: ProgramGraph
    train: ProgramGraph
    name: str = "module"
    format: int = field(default=FORMAT)
    ranges: tuple[ProgramRange, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON's types."""
        return asdict(self)
