"""A graph as statements: short expressions inside of others, and names that a person would give."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn

from unikeras.lowering.sources._expressions import COMPARISONS, Expression, Part, Writer
from unikeras.lowering.sources._wrapped_lines import call_lines

# Names for what has none of its own, in this order.
SHORT = ("x", "y", "z")
_INLINE_WIDTH = 56
_SIDE_WIDTH = 36


@dataclass
class Statement:
    """One line of `forward`.

    Attributes:
        nodes: the nodes that it names: one, or those of a pattern.
        pattern: the left side, with the nodes in it.
        value: the right side.
        comment: what stands behind it.
    """

    nodes: list[fx.Node]
    pattern: list[Part]
    value: Expression
    comment: str = ""


class Statements:
    """The statements of a graph, and what it returns.

    Args:
        module: the module that holds the graph's modules.
    """

    def __init__(self, module: fx.GraphModule) -> None:
        self._module = module
        self._writer = Writer()
        self._found: list[Statement] = []
        self._pending: tuple[fx.Node, Expression] | None = None
        self._unpacked: set[fx.Node] = set()
        self.returned: Any = None
        self._end = ""
        for node in module.graph.nodes:
            self._add(node)

    def _add(self, node: fx.Node) -> None:
        if node.op == "placeholder" or node in self._unpacked:
            return
        if node.op == "output":
            self.returned = node.args[0]
            self._close(self.returned if isinstance(self.returned, fx.Node) else None)
            return
        if node.op == "get_attr" or self._is_shape(node):
            self._writer.inlined[node] = self._writer.expression(node)
            return
        if self._pending is not None:
            self._place_pending(node)
        value = self._writer.expression(node)
        pattern = self._pattern(node)
        if pattern is not None:
            nodes = [part for part in pattern if isinstance(part, fx.Node)]
            self._found.append(Statement(nodes, pattern, value))
        elif len(node.users) == 1:
            self._pending = (node, value)
        else:
            self._emit(node, value)

    def _place_pending(self, node: fx.Node) -> None:
        """Put the last expression into the next one, where that is what a person would do, or on its own line."""
        assert self._pending is not None
        last, value = self._pending
        self._pending = None
        if last in node.all_input_nodes and self._fits(node, last, value):
            self._writer.inlined[last] = value
        else:
            self._emit(last, value)

    def _close(self, returned: fx.Node | None) -> None:
        if self._pending is None:
            return
        last, value = self._pending
        if last is returned:
            self.returned, self._end = value, self._comment(last)
        else:
            self._emit(last, value)

    def _emit(self, node: fx.Node, value: Expression) -> None:
        self._found.append(Statement([node], [node], value, self._comment(node)))

    def _fits(self, node: fx.Node, last: fx.Node, value: Expression) -> bool:
        width = sum(len(part) if isinstance(part, str) else 1 for part in value.parts)
        count = sum(one is last for one in _leaves([node.args, node.kwargs]))
        if count != 1 or width > _INLINE_WIDTH or value.depth > 2 or self._comment(last):
            return False
        if self._writer.is_infix(node) and width > _SIDE_WIDTH:
            return False
        if node.op == "call_function":
            inputs = len(node.all_input_nodes)
            return node.target is not operator.getitem and (inputs == 1 or (inputs == 2 and value.depth < 2))
        if node.op == "call_method":
            return last is node.args[0] and not self._comment(node) and last.op != "call_module"
        if len(node.all_input_nodes) > 1:
            return False
        module = self._module.get_submodule(str(node.target))
        return isinstance(module, NORMS) if last.op == "call_module" else value.depth < 2 and not _runs(value)

    def _is_shape(self, node: fx.Node) -> bool:
        if node.target is getattr and node.args[1:] == ("shape",):
            return True
        if node.target is not operator.getitem or not isinstance(node.args[0], fx.Node):
            return False
        return node.args[0].target in (getattr, torch.split, torch.unbind)

    def _pattern(self, node: fx.Node) -> list[Part] | None:
        """Return `x, (h, c)` for a recurrent module, with `_` for what is not used."""
        if node.op != "call_module":
            return None
        module = self._module.get_submodule(str(node.target))
        if not isinstance(module, nn.RNNBase):
            return None
        parts: list[Part] = []
        for number in (0, 1):
            found = _item(node, number)
            is_pair = number == 1 and isinstance(module, nn.LSTM)
            if found is None:
                parts += ["_"]
            elif is_pair:
                pair = [_item(found, half) for half in (0, 1)]
                parts += ["(", pair[0] or "_", ", ", pair[1] or "_", ")"]
                self._unpacked.update([found, *(one for one in pair if one is not None)])
            else:
                parts += [found]
                self._unpacked.add(found)
            parts += [", "] if number == 0 else []
        return parts

    def _comment(self, node: fx.Node) -> str:
        if node.op != "call_method" or node.target != "permute":
            return ""
        axes = tuple(node.args[1:])
        rank = len(axes)
        if rank >= 3 and axes == (0, rank - 1, *range(1, rank - 1)):
            return "# channels first"
        return "# channels last" if rank >= 3 and axes == (0, *range(2, rank), 1) else ""

    def lines(self, taken: set[str]) -> list[str]:
        """Return the body of `forward`.

        Args:
            taken: the names that variables cannot have.
        """
        names = _Names(self._found, self.returned, self._module, taken)
        lines: list[str] = []
        for number, statement in enumerate(self._found):
            # Names on the right are those from before the statement.
            value = statement.value
            start = [names.text(value.start)] if value.arguments is not None else []
            arguments = [names.text(one) for one in value.arguments or []]
            whole = names.text(value.parts)
            names.assign(number)
            left = names.text(statement.pattern)
            if value.arguments is None:
                comment = f"  {statement.comment}" if statement.comment else ""
                lines.append(f"        {left} = {whole}{comment}")
            else:
                lines += call_lines(f"{left} = {start[0]}", arguments, comment=statement.comment)
        return [*lines, *self._return(names)]

    def _return(self, names: _Names) -> list[str]:
        value = self.returned
        if isinstance(value, Expression):
            if value.arguments is None:
                return [f"        return {names.text(value.parts)}"]
            arguments = [names.text(one) for one in value.arguments]
            return call_lines(f"return {names.text(value.start)}", arguments, comment=self._end)
        if isinstance(value, fx.Node):
            inlined = self._writer.inlined.get(value)
            return [f"        return {names.text(inlined.parts if inlined else [value])}"]
        if isinstance(value, dict):
            items = [f'"{key}": {names.text(self._writer.parts(one))}' for key, one in value.items()]
            return call_lines("return {", items, "}")
        items = [names.text(self._writer.parts(one)) for one in value]
        one_line = f"        return {', '.join(items)}"
        return (
            [one_line]
            if len(items) > 1 and len(one_line) <= 88
            else call_lines("return (", items, ",)" if len(items) == 1 else ")")
        )


NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


class _Names:
    """The names of variables: a chain keeps its name while nothing else needs what it was."""

    def __init__(
        self, found: list[Statement], returned: Any, module: fx.GraphModule, taken: set[str]
    ) -> None:
        self._found, self._module, self._taken = found, module, taken
        self.names: dict[fx.Node, str] = {
            node: str(node.target) for node in module.graph.nodes if node.op == "placeholder"
        }
        self._inputs = set(self.names)
        self._last: dict[fx.Node, int] = {}
        for number, statement in enumerate(found):
            self._last.update(dict.fromkeys(statement.value.nodes(), number))
        at_end = returned.nodes() if isinstance(returned, Expression) else _leaves(returned)
        self._last.update({node: len(found) for node in at_end if isinstance(node, fx.Node)})

    def text(self, parts: list[Part]) -> str:
        return "".join(part if isinstance(part, str) else self.names[part] for part in parts)

    def assign(self, number: int) -> None:
        """Name what a statement makes."""
        statement = self._found[number]
        used = list(dict.fromkeys(statement.value.nodes()))
        live = {self.names[node] for node, last in self._last.items() if last > number and node in self.names}
        dying = [self.names[node] for node in used if self._last[node] == number and node not in self._inputs]
        dying += [self.names[node] for node in used if node in self._inputs and self.names[node] in SHORT]
        for node in statement.nodes:
            name = self._name(node, statement, [one for one in dying if one not in live], live)
            self.names[node] = name
            live.add(name)
            dying = [one for one in dying if one != name]

    def _name(self, node: fx.Node, statement: Statement, free: list[str], live: set[str]) -> str:
        hint = self._hint(node, statement)
        if hint:
            return self._unique(hint, live)
        chains = [name for name in free if not name.startswith(("mask", "parts"))]
        if chains:
            return min(chains, key=lambda name: (name not in SHORT, name))
        reserved = {self.names[one] for one in self._inputs}
        for name in SHORT:
            if name not in live and name not in self._taken and name not in reserved:
                return name
        return self._unique(str(node.target).rpartition(".")[2] if node.op == "call_module" else "y", live)

    def _hint(self, node: fx.Node, statement: Statement) -> str:
        if len(statement.pattern) > 1 and node.target is operator.getitem:
            source: Any = node.args[0]
            if source.target is operator.getitem:
                return "hc"[int(node.args[1])]
            return "" if node.args[1] == 0 else "h"
        if node.target in COMPARISONS or node.target in (torch.logical_and, torch.logical_or, torch.any):
            return "mask"
        return "parts" if node.target in (torch.split, torch.unbind) else ""

    def _unique(self, name: str, live: set[str]) -> str:
        reserved = self._taken | {self.names[one] for one in self._inputs} | live
        number, free = 1, name
        while free in reserved:
            number += 1
            free = f"{name}{number}"
        return free


def _runs(value: Expression) -> bool:
    """Say whether an expression runs a module."""
    return any(
        isinstance(part, str) and part.startswith("self.") and part.endswith("(") for part in value.parts
    )


def _item(node: fx.Node, number: int) -> fx.Node | None:
    found = [user for user in node.users if user.target is operator.getitem and user.args[1] == number]
    return found[0] if found else None


def _leaves(value: Any) -> list[fx.Node]:
    leaves: list[fx.Node] = []
    fx.node.map_arg(value, leaves.append)
    return leaves
