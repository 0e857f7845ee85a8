"""Which sizes of a dynamic axis a trace holds for: the branches of Python that it took depend on them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from unikeras._specs.torch_program import ProgramRange
from unikeras.lowering.programs._dynamic_axes import Axes
from unikeras.lowering.programs._graph_reader import line_of

# torch.export assumes that a dynamic axis has more than one: rules compute one, too.
_ASSUMED = 2


def size_ranges(graphs: Iterable[Any], names: dict[int, str], axes: Axes) -> tuple[ProgramRange, ...]:
    """Return the axes whose sizes have bounds, in the order of the inputs.

    A least size counts where a line of the module's own asked for it: torch's own lines ask for layouts of memory,
    which a program does not have.

    Args:
        graphs: the export of each mode.
        names: the node of each input.
        axes: those that are dynamic.
    """
    found: dict[tuple[str, int], ProgramRange] = {}
    for graph in graphs:
        nodes = {node.name: node.meta.get("val") for node in graph.graph.nodes if node.op == "placeholder"}
        for number, named in axes.items():
            value = nodes[names[number]]
            for axis in named:
                one = _range(graph, value, names[number], axis)
                key = (names[number], axis)
                found[key] = _both(found[key], one) if key in found else one
    return tuple(one for one in found.values() if one.least or one.most is not None)


def _range(graph: Any, value: Any, name: str, axis: int) -> ProgramRange:
    symbol = getattr(getattr(value.shape[axis], "node", None), "expr", None)
    bounds = graph.range_constraints.get(symbol)
    if bounds is None:
        return ProgramRange(name, axis)
    places = value.fake_mode.shape_env.var_to_range_sloc.get(symbol)
    lines = [_line(getattr(places, side, None)) for side in ("lower", "upper")]
    least = int(bounds.lower) if bounds.lower > _ASSUMED and lines[0] else 0
    most = int(bounds.upper) if bounds.upper < 2**31 - 1 else None
    return ProgramRange(
        name,
        axis,
        least,
        most,
        "; ".join(
            dict.fromkeys(
                line
                for line, bound in zip(lines, (least, most), strict=True)
                if line and bound not in (0, None)
            )
        ),
    )


def _line(place: Any) -> str:
    frame: Any = getattr(place, "framework_loc", None)  # text where torch has no frame
    return line_of([(frame.filename, frame.lineno, frame.name)]) if hasattr(frame, "lineno") else ""


def _both(one: ProgramRange, other: ProgramRange) -> ProgramRange:
    most = min(math.inf if side.most is None else side.most for side in (one, other))
    return ProgramRange(
        one.input,
        one.axis,
        max(one.least, other.least),
        None if most == math.inf else int(most),
        "; ".join(dict.fromkeys(side.line for side in (one, other) if side.line)),
    )
