"""The class of a lowered module, as Python source."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import fx, nn

from unikeras.lowering.sources._constructor_text import WRITTEN_OUT, constructor
from unikeras.lowering.sources._literal_text import tensor_text
from unikeras.lowering.sources._statements import Statements
from unikeras.lowering.sources._wrapped_lines import call_lines

_IMPORTED = {"F", "Path", "Tensor", "Any", "nn", "torch", "load", "self"}
# A buffer of more numbers is in the state_dict, and not in the source.
_FEW = 32


@dataclass
class ClassText:
    """The source of a class and of what it needs.

    Attributes:
        name: the name of the class.
        text: the source, from the imports on.
        unknown: the paths of modules whose constructor's call is not known, and their classes.
    """

    name: str
    text: str
    unknown: dict[str, str] = field(default_factory=dict)


def class_text(module: fx.GraphModule, model_name: str, about: Sequence[str]) -> ClassText:
    """Return the class of a lowered module.

    Args:
        module: the module, in training mode; what is in evaluation mode inside of it stays there.
        model_name: the name of the Keras model.
        about: the lines of the class' docstring.
    """
    name = class_name(model_name)
    constructed = _Constructed(module)
    helpers = [kind for kind in WRITTEN_OUT if kind in constructed.kinds]
    helpers = list(dict.fromkeys(one for kind in helpers for one in (*WRITTEN_OUT[kind], kind)))
    inputs = [str(node.target) for node in module.graph.nodes if node.op == "placeholder"]
    signature = call_lines(
        "def forward(",
        ["self", *(f"{one}: Tensor" for one in inputs)],
        f") -> {_returned(module)}:",
        indent=4,
    )
    body = Statements(module).lines(_IMPORTED | {kind.__name__ for kind in helpers})
    written = "\n".join(
        [
            f"class {name}(nn.Module):",
            *_docstring(about),
            "",
            "    def __init__(self) -> None:",
            "        super().__init__()",
            *constructed.lines,
            *constructed.train_lines(),
            "",
            *signature,
            *body,
        ]
    )
    sources = [inspect.getsource(kind).rstrip() for kind in helpers]
    text = "\n\n\n".join(["\n".join(_imports([written, *sources])), *sources, written]) + "\n"
    return ClassText(name, text, constructed.unknown)


def class_name(model_name: str) -> str:
    """Return the name of a class for a model; Keras' own names say nothing.

    Example:
        >>> class_name("text classifier"), class_name("sequential_3"), class_name("1x1")
        ('TextClassifier', 'Net', 'Net1x1')
    """
    if re.fullmatch(r"(sequential|functional|model)(_\d+)?", model_name):
        return "Net"
    words = re.findall(r"[A-Za-z0-9]+", model_name)
    name = "".join(word[0].upper() + word[1:] for word in words) or "Net"
    name = f"Net{name}" if name[0].isdigit() else name
    known = {kind.__name__ for kinds in WRITTEN_OUT.items() for kind in (kinds[0], *kinds[1])}
    return f"{name}Net" if name in known | _IMPORTED | {"None", "True", "False"} else name


def _imports(sources: Sequence[str]) -> Iterator[str]:
    text = "\n".join(sources)
    if re.search(r"\bAny\b", text):
        yield "from typing import Any"
        yield ""
    yield "import torch"
    if re.search(r"\bF\.", text):
        yield "import torch.nn.functional as F"
    yield "from torch import Tensor, nn"


def _docstring(about: Sequence[str]) -> list[str]:
    if len(about) == 1:
        return [f'    """{about[0]}"""']
    return [f'    """{about[0]}', *(f"    {line}".rstrip() for line in about[1:]), '    """']


def _returned(module: fx.GraphModule) -> str:
    (output,) = (node for node in module.graph.nodes if node.op == "output")
    value = output.args[0]
    if isinstance(value, dict):
        return "dict[str, Tensor]"
    return f"tuple[{', '.join(['Tensor'] * len(value))}]" if isinstance(value, list | tuple) else "Tensor"


class _Constructed:
    """The lines of `__init__`."""

    def __init__(self, module: nn.Module) -> None:
        self.kinds: set[type] = set()
        self.unknown: dict[str, str] = {}
        self.lines: list[str] = []
        self._module = module
        self._fill(module, "self")
        self.lines += self._dtype_lines() + self._frozen_lines()

    def _fill(self, holder: nn.Module, path: str) -> None:
        for name, parameter in holder.named_parameters(recurse=False):
            shape = ", ".join(map(str, parameter.shape)) or "()"
            self.lines.append(f"        {path}.{name} = nn.Parameter(torch.zeros({shape}))")
        for name, buffer in holder.named_buffers(recurse=False):
            self._buffer(path, name, buffer)
        for name, child in holder.named_children():
            if type(child) is nn.Module:
                self.lines.append(f"        {path}.{name} = nn.Module()")
                self._fill(child, f"{path}.{name}")
            else:
                self._child(f"{path}.{name}", child)

    def _buffer(self, path: str, name: str, buffer: torch.Tensor) -> None:
        if is_in_source(buffer):
            arguments = [f'"{name}"', tensor_text(buffer), "persistent=False"]
        else:
            dtype = "" if buffer.dtype == torch.float32 else f", dtype={buffer.dtype}"
            arguments = [f'"{name}"', f"torch.zeros({', '.join(map(str, buffer.shape))}{dtype})"]
        self.lines += call_lines(f"{path}.register_buffer(", arguments)

    def _child(self, path: str, child: nn.Module) -> None:
        found = constructor(child)
        if found is None:
            self.unknown[path.removeprefix("self.")] = f"{type(child).__module__}.{type(child).__qualname__}"
            self.lines.append(f"        {path} = nn.Identity()  # stands for {type(child).__qualname__}")
            return
        self.kinds.update(type(one) for one in child.modules())
        self.lines += call_lines(f"{path} = {found[0]}(", found[1])

    def _dtype_lines(self) -> list[str]:
        tensors = [*self._module.parameters(), *self._module.buffers()]
        kinds = {one.dtype for one in tensors if one.is_floating_point()}
        if kinds <= {torch.float32}:
            return []
        if len(kinds) == 1:
            return [f"        self.to({kinds.pop()})"]
        return [
            f"        self.{name}.to({parameter.dtype})"
            for name, child in self._module.named_modules()
            for parameter in [next(child.parameters(recurse=False), None)]
            if parameter is not None and parameter.dtype != torch.float32
        ]

    def _frozen_lines(self) -> list[str]:
        lines = list(self._frozen(self._module, "self"))
        zeros = [line for line in lines if line.startswith("        nn.init.zeros_")]
        if zeros:
            note = "        # Keras has one bias where torch has two: the second one stays zero."
            lines = [*(line for line in lines if line not in zeros), note, *zeros]
        return lines

    def _frozen(self, holder: nn.Module, path: str) -> Iterator[str]:
        parameters = list(holder.parameters())
        if parameters and not any(one.requires_grad for one in parameters):
            yield f"        {path}.requires_grad_(False)"
            return
        for name, parameter in holder.named_parameters(recurse=False):
            if not parameter.requires_grad:
                second = isinstance(holder, nn.RNNBase) and name.startswith("bias_hh")
                target = f"nn.init.zeros_({path}.{name})" if second else f"{path}.{name}"
                yield f"        {target}.requires_grad_(False)"
        for name, child in holder.named_children():
            yield from self._frozen(child, f"{path}[{name}]" if name.isdigit() else f"{path}.{name}")

    def train_lines(self) -> list[str]:
        """Return the `train` of a module of which parts stay in evaluation mode."""
        frozen = [name for name, one in self._module.named_modules() if _is_frozen(one)]
        if not frozen:
            return []
        return [
            "",
            "    def train(self, mode: bool = True):",
            "        super().train(mode)",
            "        # These are frozen, statistics included.",
            *(f"        self.{name}.eval()" for name in frozen),
            "        return self",
        ]


def _is_frozen(module: nn.Module) -> bool:
    return not module.training and not any(module.children())


def is_in_source(buffer: torch.Tensor) -> bool:
    """Say whether a buffer's numbers are written in the source, and not kept in the state_dict."""
    is_range = (
        buffer.dtype == torch.int64 and buffer.dim() == 1 and torch.equal(buffer, torch.arange(len(buffer)))
    )
    return bool(is_range or buffer.numel() <= _FEW)
