"""Sizes of tensors, and Python's arithmetic on them."""

from __future__ import annotations

import math

import numpy as np

from helpers.operator_cases import OperatorCase, Size, changed, made, numbers

X = numbers(4, 3, 5)
HALF = 0.3


def _of_size(name, compute, *args):
    return {name: OperatorCase(f"py.{name}", (*args,), answer=compute)}


PLAIN = ["add", "eq", "floordiv", "ge", "gt", "le", "lt", "mod", "mul", "ne", "sub"]
CASES = {
    **made(
        sym_size=("aten.sym_size.int", X, 0),
        sym_size_last=("aten.sym_size.int", X, -1),
        sym_numel=("aten.sym_numel.default", X),
        item=("aten._local_scalar_dense.default", np.array([2.5])),
        **{n: (f"py.{n}", Size(), 3) for n in PLAIN},
        **{f"{n}_of_sizes": (f"py.{n}", Size(3), Size(2, 1)) for n in PLAIN},
        **{f"{n}_of_number": (f"py.{n}", 7, Size()) for n in PLAIN},
        truediv=("py.truediv", Size(), 8),
        pow=("py.pow", Size(), 2),
        pow_of_number=("py.pow", 2, Size()),
        pow_real=("py.pow", Size(), 0.5),
        neg=("py.neg", Size()),
        getitem=("py.getitem", [X, X * 2], 1),
    ),
    # A size that is a tensor becomes one of floatx.
    **changed(
        made(add_real=("py.add", Size(), HALF), mul_real=("py.mul", HALF, Size())),
        tolerance=1e-6,
    ),
    **_of_size("sym_float", float, Size()),
    **_of_size("sym_int", int, Size()),
    **_of_size("floor", math.floor, 2.5),
    **_of_size("ceil", math.ceil, 2.5),
    **_of_size("trunc", math.trunc, -2.5),
    **_of_size("_sym_sqrt", math.sqrt, Size()),
    **_of_size("sym_max", max, Size(), 3),
    **_of_size("sym_min", min, Size(), 3),
    "sym_max_of_number": OperatorCase("py.sym_max", (Size(), 9), answer=max),
    "sym_min_of_number": OperatorCase("py.sym_min", (Size(), 9), answer=min),
    "and_both": OperatorCase("py.and_", (True, True), answer=lambda a, b: a and b),
    "or_none": OperatorCase("py.or_", (False, False), answer=lambda a, b: a or b),
    "sym_ite_not": OperatorCase("py.sym_ite", (False, Size(), 3), answer=lambda c, a, b: a if c else b),
    **_of_size("sym_sum", sum, [Size(), 3, Size(2)]),
    **_of_size("sym_ite", lambda c, a, b: a if c else b, True, Size(), 3),
    **_of_size("sym_not", lambda c: not c, True),
    **_of_size("and_", lambda a, b: a and b, True, False),
    **_of_size("or_", lambda a, b: a or b, True, False),
    **{
        name: OperatorCase(f"aten.{name}.default", (X, "what is checked"), answer=lambda *_: None)
        for name in ["_assert_async", "_assert_scalar", "sym_constrain_range"]
    },
    "functional_assert": OperatorCase(
        "aten._functional_assert_scalar.default",
        (True, "what is checked", X),
        answer=lambda a, b, token: token,
    ),
}
