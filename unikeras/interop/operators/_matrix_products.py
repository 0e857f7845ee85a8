"""Products of matrices."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any

from keras import ops

from unikeras.interop.operators._arrays import constant
from unikeras.interop.operators._binary_operators import promoted
from unikeras.interop.operators._rules import register_operator
from unikeras.interop.operators._view_operators import diagonal


@register_operator(
    "aten.matmul", "aten.mm", "aten.bmm", "aten.mv", "aten.dot", "aten.vdot", "aten.linalg_matmul"
)
def matmul(a: Any, b: Any, *_: Any) -> Any:
    """Return the product of vectors, matrices or batches of matrices."""
    return ops.matmul(a, b)


@register_operator("aten.inner")
def inner(a: Any, b: Any) -> Any:
    """Return the sum of products over the last axes."""
    return ops.matmul(a, b) if len(b.shape) < 2 else ops.tensordot(a, b, axes=[[-1], [-1]])


@register_operator("aten.linear")
def linear(x: Any, weight: Any, bias: Any = None) -> Any:
    """Return x times the transposed weight, plus a bias. Compilers fold the transpose into the product."""
    y = ops.matmul(x, ops.transpose(weight))
    return y if bias is None else y + bias


def _added(x: Any, y: Any, beta: Any, alpha: Any) -> Any:
    """Return beta x + alpha y; where beta is 0, x does not matter, NaN or not."""
    y = y if alpha == 1 else y * constant(alpha, y)
    if beta == 0:
        return y
    return (x if beta == 1 else x * constant(beta, x)) + y


@register_operator("aten.addmm", "aten.addmv", "aten.baddbmm")
def addmm(x: Any, a: Any, b: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """Return beta x plus alpha times a product."""
    return _added(x, ops.matmul(a, b), beta, alpha)


@register_operator("aten.addbmm")
def addbmm(x: Any, a: Any, b: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """Return beta x plus alpha times the sum of a batch of products."""
    return _added(x, ops.sum(ops.matmul(a, b), axis=0), beta, alpha)


@register_operator("aten.addr")
def addr(x: Any, a: Any, b: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """Return beta x plus alpha times the outer product."""
    return _added(x, outer(a, b), beta, alpha)


@register_operator("aten.outer", "aten.ger")
def outer(a: Any, b: Any) -> Any:
    """Return the products of each element of one vector with each of another."""
    a, b = promoted(a, b)
    return ops.expand_dims(a, 1) * b


@register_operator("aten.bilinear")
def bilinear(a: Any, b: Any, weight: Any, bias: Any = None) -> Any:
    """Return a weight b for each row of a weight of three axes."""
    y = ops.einsum("...i,oij,...j->...o", a, weight, b)
    return y if bias is None else y + bias


@register_operator("aten.einsum")
def einsum(equation: str, operands: Sequence[Any], *, path: Any = None) -> Any:
    """Return a sum of products by Einstein's convention; a letter may stand twice in one operand."""
    inputs, arrow, output = equation.replace(" ", "").partition("->")
    if not arrow:
        letters = sorted(set(inputs) - set(",."))
        output = "..." * ("..." in inputs) + "".join(one for one in letters if inputs.count(one) == 1)
    pairs = [_diagonals(labels, x) for labels, x in zip(inputs.split(","), operands, strict=True)]
    return ops.einsum(f"{','.join(labels for labels, _ in pairs)}->{output}", *(x for _, x in pairs))


def _diagonals(labels: str, x: Any) -> tuple[str, Any]:
    """Return the labels and the tensor with each letter once: TensorFlow takes no diagonals."""
    for letter in sorted(set(labels) & set(string.ascii_letters)):
        while labels.count(letter) > 1:
            first, last = labels.index(letter), labels.rindex(letter)
            rest = labels[:last] + labels[last + 1 :]
            labels = rest[:first] + rest[first + 1 :] + letter
            x = diagonal(x, 0, first, last)
    return labels, x
