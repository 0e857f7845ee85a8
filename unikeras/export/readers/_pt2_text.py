"""Texts of a .pt2 archive that PyTorch evaluates: the sizes of tensors, and conditions on the sizes of inputs.

They are parsed, never matched by a pattern that could try without end, and what may be evaluated stays small:
the exponent of a power is a small number and a power has no power inside, so that no text of a few bytes
becomes a number of gigabytes.
"""

from __future__ import annotations

import ast
import re

_LONGEST = 20_000
_LARGEST = 2**63
_LARGEST_EXPONENT = 64

# What SymPy may call when it reads the size of a tensor.
_FUNCTIONS = {
    "Symbol", "Integer", "Add", "Mul", "Pow", "Mod", "PythonMod", "Max", "Min", "FloorDiv", "CleanDiv", "CeilDiv",
    "ModularIndexing", "Where", "IntTrueDiv", "FloatTrueDiv", "ToFloat", "TruncToInt", "PowByNatural",
    "Eq", "Ne", "Lt", "Le", "Gt", "Ge", "And", "Or", "Not", "ITE", "Piecewise", "ExprCondPair",
    "Equality", "Unequality", "StrictLessThan", "LessThan", "StrictGreaterThan", "GreaterThan",
    "CeilToInt", "FloorToInt", "RoundToInt", "RoundDecimal", "TruncToFloat", "FloatPow", "LShift", "RShift",
    "Identity", "Abs",
}  # fmt: skip
_POWERS = {"Pow", "PowByNatural", "FloatPow", "LShift"}
_EXPRESSION = (
    ast.Expression, ast.Call, ast.Name, ast.Load, ast.Constant, ast.keyword, ast.UnaryOp, ast.USub,
)  # fmt: skip
_CONDITION = (
    ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.Compare,
    ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.FloorDiv,
    ast.Div, ast.Mod, ast.Pow, ast.Call, ast.Attribute, ast.Subscript, ast.Constant, ast.Name, ast.Load,
)  # fmt: skip


def is_expression(text: str) -> bool:
    """Say whether a text is arithmetic on symbols.

    Example:
        >>> is_expression("Mul(Integer(2), Symbol('s0'))"), is_expression("__import__('os')")
        (True, False)
    """
    nodes = _nodes(text)
    called = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    return bool(nodes) and all(_in_expression(node, id(node) in called) for node in nodes)


def is_condition(text: str) -> bool:
    """Say whether a text compares the sizes of inputs.

    Example:
        >>> is_condition("L['x'].size()[0] >= 2"), is_condition("L['x'].size.__class__")
        (True, False)
    """
    nodes = _nodes(text)
    called = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    called |= {id(node.slice) for node in nodes if isinstance(node, ast.Subscript)}
    return bool(nodes) and all(_in_condition(node, id(node) in called) for node in nodes)


def _nodes(text: str) -> list[ast.AST]:
    """Return all nodes of an expression; none where it is too long, too deep or no expression."""
    if len(text) > _LONGEST:
        return []
    try:
        return list(ast.walk(ast.parse(text.strip(), mode="eval")))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _in_expression(node: ast.AST, called: bool) -> bool:
    if not isinstance(node, _EXPRESSION):
        return False
    if isinstance(node, ast.Call):
        return _name_of(node.func) in _FUNCTIONS and (
            _name_of(node.func) not in _POWERS
            or (len(node.args) == 2 and not node.keywords and _is_small_power(*node.args))
        )
    if isinstance(node, ast.Constant):
        return _is_small(node.value) or (isinstance(node.value, str) and node.value.isidentifier())
    if isinstance(node, ast.Name) and not called:
        return re.fullmatch(r"[su]\d{1,9}", node.id, re.ASCII) is not None
    return True


def _in_condition(node: ast.AST, called: bool) -> bool:
    """Say whether a node may be there, called or between the brackets of a subscript, or else anywhere."""
    if not isinstance(node, _CONDITION):
        return False
    if isinstance(node, ast.Call):
        is_size = isinstance(node.func, ast.Attribute) and not node.args
        return not node.keywords and (is_size or _name_of(node.func) in ("max", "min"))
    if isinstance(node, ast.Attribute):
        return called and node.attr == "size"
    if isinstance(node, ast.Name):
        return node.id in ("max", "min") if called else node.id == "L"
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        return _is_small_power(node.left, node.right)
    if isinstance(node, ast.Constant):
        return _is_small(node.value) or (called and isinstance(node.value, str))  # the name of an input
    return True


def _name_of(function: ast.expr) -> str:
    return function.id if isinstance(function, ast.Name) else ""


def _is_small(value: object) -> bool:
    return isinstance(value, bool | int | float) and abs(value) <= _LARGEST


def _is_small_power(base: ast.expr, exponent: ast.expr) -> bool:
    """Say whether a power has a small number for an exponent, and no power inside."""
    nested = any(
        _name_of(node.func) in _POWERS if isinstance(node, ast.Call) else isinstance(node, ast.Pow)
        for node in ast.walk(base)
    )
    return not nested and _is_small_exponent(exponent)


def _is_small_exponent(node: ast.expr) -> bool:
    if isinstance(node, ast.Call) and _name_of(node.func) == "Integer" and len(node.args) == 1:
        return _is_small_exponent(node.args[0])
    if isinstance(node, ast.UnaryOp):
        return _is_small_exponent(node.operand)
    value = node.value if isinstance(node, ast.Constant) else None
    return isinstance(value, int | float) and abs(value) <= _LARGEST_EXPONENT
