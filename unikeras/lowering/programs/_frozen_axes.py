"""Dynamic axes that a trace found to have one size only, and the lines that made it so."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from unikeras.lowering.programs._dynamic_axes import Axes
from unikeras.lowering.programs._example_inputs import ExampleInputs
from unikeras.lowering.programs._graph_reader import line_of
from unikeras.lowering.programs._mode_export import SIZES_LOG


def frozen_axes(exported: Any, names: dict[int, str], axes: Axes) -> list[tuple[int, int]]:
    """Return the dynamic axes, as number of the input and axis, that have one size in a graph.

    Args:
        exported: the graph of one mode.
        names: the node of each input.
        axes: those that must be dynamic.
    """
    dynamic = {names[number] for number in axes}
    shapes = {node.name: node.meta["val"].shape for node in exported.graph.nodes if node.name in dynamic}
    return [
        (number, axis)
        for number, named in axes.items()
        for axis in named
        if re.fullmatch(r"\d+", str(shapes[names[number]][axis]))
    ]


def describe_frozen(
    frozen: list[tuple[int, int]],
    names: dict[int, str],
    inputs: ExampleInputs,
    axes: Axes,
    export: Callable[[], Any],
) -> Iterator[str]:
    """Yield a sentence for each frozen axis.

    Args:
        frozen: what `frozen_axes` returned.
        names: the node of each input.
        inputs: the example.
        axes: with their names.
        export: exports the module again, to see where.
    """
    lines = _freezing_lines(export)
    for number, axis in frozen:
        name = axes[number][axis]
        size = inputs.leaves[number].shape[axis]
        line = lines.get((names[number], axis))
        yield (
            f"fixes axis {axis} of {inputs.paths[number]}{f', {name!r},' if name else ''} to {size}"
            f"{f' ({line})' if line else ''}; compute that from x.shape, or leave the axis out of dynamic="
        )


def _freezing_lines(export: Callable[[], Any]) -> dict[tuple[str, int], str]:
    """Return where the size of an input's axis became a number.

    torch keeps only its own line; its log is written at the time, where the stack still has the user's.
    """
    found: dict[str, str] = {}

    def note(record: logging.LogRecord) -> bool:
        if str(record.msg).startswith("set_replacement %s = %s") and isinstance(record.args, tuple):
            frames = ((frame.filename, frame.lineno, frame.name) for frame in traceback.extract_stack())
            found.setdefault(str(record.args[0]), line_of(frames))
        return False

    logger = logging.getLogger(SIZES_LOG)
    level = logger.level
    logger.addFilter(note)
    logger.setLevel(logging.INFO)
    try:
        exported = export()
    finally:
        logger.setLevel(level)
        logger.removeFilter(note)
    return dict(_by_axis(exported, found))


def _by_axis(exported: Any, lines: dict[str, str]) -> Iterator[tuple[tuple[str, int], str]]:
    placeholder = next(node for node in exported.graph.nodes if hasattr(node.meta.get("val"), "fake_mode"))
    for symbol, sources in placeholder.meta["val"].fake_mode.shape_env.var_to_sources.items():
        for source in sources:
            # such as L['x'][0].size()[1], where the node is called x_0
            name, _, axis = str(source.name).rpartition(".size()")
            if str(symbol) in lines and (digits := re.search(r"\d+", axis)):
                path = "_".join(re.findall(r"\w+", name)[1:])
                yield (path, int(digits.group())), lines[str(symbol)]
