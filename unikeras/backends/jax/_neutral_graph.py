"""A jaxpr as a neutral graph."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import jax
from jax.extend.core import Literal, jaxprs_in_params

from unikeras._specs.graph_nodes import Graph, GraphBuilder, scope_of

# What they call is drawn in their place, in a scope of the function's name.
_CALLS = (
    "jit",
    "pjit",
    "closed_call",
    "core_call",
    "custom_jvp_call",
    "custom_vjp_call",
    "remat2",
    "checkpoint",
)
_SHORT = 3  # equations of a function, such as relu, that is drawn without a scope of its own
_CONTROL_FLOW = ("cond", "while", "scan")
_BOOKKEEPING = (
    "broadcast_in_dim",
    "convert_element_type",
    "copy",
    "reshape",
    "squeeze",
    "stop_gradient",
)


def neutral_graph(closed: Any, written: Sequence[Any], read: Sequence[Any]) -> Graph:
    """Return the graph of a program.

    Args:
        closed: its jaxpr; it takes the values of `written`, of `read`, then the arguments, and returns the results,
            then the new values of `written`.
        written: the Keras variables that it writes.
        read: those that it only reads.
    """
    jaxpr, builder = closed.jaxpr, GraphBuilder()
    places: dict[Any, Any] = {}
    state = [*written, *read]
    for number, variable in enumerate(jaxpr.invars[len(state) :]):
        places[variable] = builder.add("input", f"argument {number}", **_described(variable))
    for variable, holder in zip(jaxpr.invars, state, strict=False):
        path = holder.path
        places[variable] = builder.add("variable", path, **_described(variable), scope=scope_of(path)[:-1])
    stores = [places[variable] for variable in jaxpr.invars[: len(written)]]
    ids = _Writer(builder).add(jaxpr, places, ())
    results = len(ids) - len(written)
    for number, id in enumerate(ids[:results]):
        builder.add("output", f"result {number}", [id], **_described(jaxpr.outvars[number]))
    for store, id in zip(stores, ids[results:], strict=False):
        if id is not None:
            builder.connect(id, store, writes=True)
    return builder.build()


def _inner_graph(jaxpr: Any) -> Graph:
    builder = GraphBuilder()
    places = {
        variable: builder.add("input", f"argument {number}", **_described(variable))
        for number, variable in enumerate(jaxpr.invars)
    }
    for number, id in enumerate(_Writer(builder).add(jaxpr, places, ())):
        builder.add("output", f"result {number}", [id], **_described(jaxpr.outvars[number]))
    return builder.build()


class _Writer:
    """Adds the equations of jaxprs to a graph."""

    def __init__(self, builder: GraphBuilder) -> None:
        self._builder = builder

    def add(self, jaxpr: Any, places: dict[Any, Any], scope: tuple[str, ...]) -> list[str | None]:
        """Add a jaxpr whose inputs are nodes, and return the nodes of its outputs."""
        for variable in jaxpr.constvars:
            places.setdefault(variable, self._builder.add("constant", "constant", **_described(variable)))
        for equation in jaxpr.eqns:
            self._add_equation(equation, places, scope)
        return [self._place(variable, places) for variable in jaxpr.outvars]

    def _add_equation(self, equation: Any, places: dict[Any, Any], scope: tuple[str, ...]) -> None:
        name, inner = equation.primitive.name, list(jaxprs_in_params(equation.params))
        here = scope or _scope(str(equation.source_info.name_stack))
        inputs = [self._place(variable, places) for variable in equation.invars]
        if name in _CALLS and inner and len(inner[0].invars) == len(inputs):
            is_long = len(inner[0].eqns) > _SHORT
            called = scope_of(str(equation.params.get("name", ""))) if is_long else ()
            known = dict(zip(inner[0].invars, inputs, strict=True))
            outputs = self.add(inner[0], known, (*here, *called))
            places.update(zip(equation.outvars, outputs, strict=True))
            return
        is_control = name in _CONTROL_FLOW
        graphs = _parts(name, equation.params) if is_control else ()
        id = self._builder.add(
            "control flow" if is_control else "operation",
            name,
            inputs,
            operator=name,
            scope=here,
            is_bookkeeping=name in _BOOKKEEPING,
            graphs=graphs,
            **_described(equation.outvars[0] if equation.outvars else None),
        )
        places.update(dict.fromkeys(equation.outvars, id))

    def _place(self, variable: Any, places: dict[Any, Any]) -> str | None:
        return None if isinstance(variable, Literal) else places.get(variable)


def _parts(name: str, parameters: dict[str, Any]) -> tuple[tuple[str, Graph], ...]:
    if name == "while":
        jaxprs = {"condition": parameters["cond_jaxpr"], "body": parameters["body_jaxpr"]}
    elif name == "scan":
        jaxprs = {"body": parameters["jaxpr"]}
    else:
        jaxprs = {f"branch {number}": branch for number, branch in enumerate(parameters["branches"])}
    return tuple((part, _inner_graph(closed.jaxpr)) for part, closed in jaxprs.items())


def _described(variable: Any) -> dict[str, Any]:
    aval: Any = getattr(variable, "aval", None)
    if not hasattr(aval, "shape") or not hasattr(aval, "dtype"):
        return {}
    dtype = aval.dtype
    return {
        "shape": tuple(aval.shape),
        "dtype": str(dtype) if not jax.dtypes.issubdtype(dtype, jax.dtypes.extended) else "key",
    }


def _scope(stack: str) -> tuple[str, ...]:
    """Return the scope of an equation: `transpose(functional)/dense/jvp()` is the gradient of `functional/dense`."""
    names = scope_of(re.sub(r"\w+\(|\)", "", stack))
    return ("gradient", *names) if "transpose(" in stack else names
