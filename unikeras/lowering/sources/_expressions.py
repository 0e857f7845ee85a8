"""The nodes of a graph as expressions of Python."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - its name in the written files
from torch import fx

from unikeras.lowering.sources._literal_text import literal

Part = Any  # text, or a node of the graph, whose name comes later

_INFIX = {
    operator.add: "+",
    operator.sub: "-",
    operator.mul: "*",
    operator.truediv: "/",
    operator.floordiv: "//",
    operator.mod: "%",
    operator.pow: "**",
    operator.matmul: "@",
    operator.eq: "==",
    operator.ne: "!=",
    operator.gt: ">",
    operator.ge: ">=",
    operator.lt: "<",
    operator.le: "<=",
    operator.and_: "&",
    operator.or_: "|",
    operator.xor: "^",
    torch.add: "+",
    torch.sub: "-",
    torch.mul: "*",
    torch.logical_and: "&",
    torch.logical_or: "|",
}
_PREFIX = {operator.neg: "-", operator.invert: "~", torch.logical_not: "~"}
_PRODUCTS = (operator.mul, operator.truediv, torch.mul)
COMPARISONS = (operator.eq, operator.ne, operator.gt, operator.ge, operator.lt, operator.le)
# The axes of these are easier to read by name.
_AXES = {
    "mean",
    "sum",
    "amax",
    "amin",
    "softmax",
    "log_softmax",
    "cat",
    "stack",
    "glu",
    "cumsum",
    "argmax",
    "argmin",
    "unbind",
    "split",
}


@dataclass
class Expression:
    """Text with nodes in it, whose names come later.

    Attributes:
        parts: the text, and the nodes that stand in it.
        arguments: the arguments of a call, each in parts; None where it is no call.
        tight: whether it can stand in front of a dot or beside an operator as it is.
        depth: how many calls stand inside of each other.
        start: what stands in front of the arguments of a call.
        is_product: whether it is a product, which binds closer than a sum.
    """

    parts: list[Part]
    arguments: list[list[Part]] | None = None
    tight: bool = True
    depth: int = 0
    start: list[Part] = field(default_factory=list)
    is_product: bool = False

    def nodes(self) -> Iterator[fx.Node]:
        """Yield the nodes in it."""
        yield from (part for part in self.parts if isinstance(part, fx.Node))

    @classmethod
    def call(cls, start: list[Part], arguments: list[list[Part]], depth: int) -> Expression:
        """Return a call; `start` ends with the opening parenthesis."""
        return cls([*start, *joined(arguments), ")"], arguments, True, depth, start)


def joined(lists: list[list[Part]]) -> list[Part]:
    """Return the parts of several expressions with commas between."""
    parts: list[Part] = []
    for number, one in enumerate(lists):
        parts += [", ", *one] if number else one
    return parts


class Writer:
    """Writes nodes, with those that are used at one place alone inside of others."""

    def __init__(self) -> None:
        self.inlined: dict[fx.Node, Expression] = {}

    def expression(self, node: fx.Node) -> Expression:
        """Return what computes a node."""
        if node.op == "get_attr":
            return Expression([f"self.{node.target}"])
        if node.op == "call_module":
            return self._call([f"self.{node.target}("], node.args, node.kwargs, node)
        if node.op == "call_method":
            receiver, *rest = node.args
            start = [*self._tight(receiver), f".{node.target}("]
            return self._call(start, rest, node.kwargs, node)
        return self._function(node)

    @staticmethod
    def is_infix(node: fx.Node) -> bool:
        """Say whether a node is an operator between two values."""
        return node.op == "call_function" and node.target in _INFIX

    def _function(self, node: fx.Node) -> Expression:
        target, args = node.target, node.args
        if target is getattr:
            return Expression([*self._tight(args[0]), f".{args[1]}"])
        if target is operator.getitem:
            index = args[1]
            text = (
                joined([self.parts(one) for one in index]) if isinstance(index, tuple) else self.parts(index)
            )
            return Expression([*self._tight(args[0]), "[", *text, "]"], depth=self._depth(node))
        if target in _PREFIX and not node.kwargs:
            return Expression([_PREFIX[target], *self._tight(args[0])], tight=False, depth=self._depth(node))
        if target in _INFIX and len(args) == 2 and not node.kwargs:
            sides = [*self._side(args[0], target), f" {_INFIX[target]} ", *self._side(args[1], target)]
            return Expression(sides, tight=False, depth=self._depth(node), is_product=target in _PRODUCTS)
        name = function_name(target)
        kwargs = dict(node.kwargs)
        if name.rpartition(".")[2] in _AXES and len(args) == 2:
            args, kwargs = args[:1], {"dim": args[1], **kwargs}
        return self._call([f"{name}("], args, kwargs, node)

    def _call(self, start: list[Part], args: Any, kwargs: Any, node: fx.Node) -> Expression:
        named = {key: value for key, value in kwargs.items() if not _is_default(node.target, key, value)}
        arguments = [self.parts(one) for one in args]
        arguments += [[f"{key}=", *self.parts(value)] for key, value in named.items()]
        return Expression.call(start, arguments, self._depth(node) + 1)

    def parts(self, value: Any) -> list[Part]:
        """Return an argument: a node, a plain value, or a structure of them."""
        if isinstance(value, fx.Node):
            return list(self.inlined[value].parts) if value in self.inlined else [value]
        if isinstance(value, list | tuple) and not isinstance(value, torch.Size):
            is_list = isinstance(value, list)
            inner = joined([self.parts(one) for one in value])
            return ["[" if is_list else "(", *inner, "]" if is_list else (",)" if len(value) == 1 else ")")]
        return [literal(value)]

    def _side(self, value: Any, target: Any) -> list[Part]:
        """Return one side of an operator, in parentheses where it needs them."""
        inner = self.inlined.get(value) if isinstance(value, fx.Node) else None
        is_sum = target in (operator.add, operator.sub, torch.add, torch.sub)
        return list(inner.parts) if inner and inner.is_product and is_sum else self._tight(value)

    def _tight(self, value: Any) -> list[Part]:
        parts = self.parts(value)
        tight = self.inlined[value].tight if isinstance(value, fx.Node) and value in self.inlined else True
        return parts if tight else ["(", *parts, ")"]

    def _depth(self, node: fx.Node) -> int:
        return max(
            (self.inlined[one].depth for one in node.all_input_nodes if one in self.inlined), default=0
        )


def _is_default(function: Any, name: str, value: Any) -> bool:
    """Say whether an argument is what torch takes anyway: functions written in Python are traced with all of them."""
    if isinstance(value, fx.Node) or (name == "keepdim" and value is False):
        return not isinstance(value, fx.Node)
    if not inspect.isfunction(function):
        return False
    parameter = inspect.signature(function).parameters.get(name)
    return parameter is not None and type(parameter.default) is type(value) and parameter.default == value


def function_name(function: Any) -> str:
    """Return how a function of torch, or of Python, is called in a file that imports torch."""
    if function not in _NAMES:
        raise LookupError(
            f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', function)}"
        )
    return _NAMES[function]


def _names() -> dict[Any, str]:
    names: dict[Any, str] = {}
    for prefix, room in (("torch", torch), ("F", F), ("torch.linalg", torch.linalg)):
        for name in sorted(vars(room)):
            value = getattr(room, name)
            if callable(value) and not name.startswith("_"):
                names.setdefault(value, f"{prefix}.{name}")
    return names


_NAMES = _names()
