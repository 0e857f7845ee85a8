"""The code of a graph, with its operators as names of its own.

torch.fx writes `torch.ops.aten.relu.default(x)`: four attributes are looked up, and the operator is called by way of
Python. That is a tenth of the time of a small program.
"""

from __future__ import annotations

import functools
import operator
import re
from collections.abc import Callable
from typing import Any

import torch

_OPERATOR = re.compile(r"\btorch\.ops\.(\w+\.\w+\.\w+)\(")


def bind_operators(module: torch.fx.GraphModule) -> Callable[..., Any]:
    """Return the function that a graph module runs; it calls each operator of a library directly."""
    code = module.graph.python_code("self")
    names: dict[str, Any] = dict(code.globals)

    def bind(call: re.Match[str]) -> str:
        overload = operator.attrgetter(call[1])(torch.ops)
        name = f"_{call[1].replace('.', '_')}"
        names[name] = overload._op
        return f"{name}("

    exec(_OPERATOR.sub(bind, code.src), names)
    return functools.partial(names["forward"], module)
