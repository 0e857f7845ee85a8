"""Names of dynamic axes: by position for inputs, by the sizes that they took for outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from unikeras._specs.signature import TensorSpec

# By rank, of images and sequences alike. Numbers in a table of two axes are features, integers are tokens.
BY_RANK: dict[int, tuple[str, ...]] = {
    3: ("time", "features"),
    4: ("height", "width", "channels"),
    5: ("time", "height", "width", "channels"),
}
CHANNELS_FIRST: dict[int, tuple[str, ...]] = {
    4: ("channels", "height", "width"),
    5: ("channels", "time", "height", "width"),
}


def name_inputs(specs: Sequence[TensorSpec], channels_first: bool = False) -> list[TensorSpec]:
    """Return the inputs with names for their dynamic axes.

    All of them share the batch. An axis of another input gets that input's name in front: one name
    stands for one size in a graph, and nothing says that the two are equal.

    Args:
        specs: the inputs.
        channels_first: how the model lays its images out.

    Example:
        >>> tokens = TensorSpec("tokens", (None, None), "int32")
        >>> image = TensorSpec("image", (None, None, None, 3), "float32")
        >>> [spec.axes for spec in name_inputs([tokens, image, image])]
        [('batch', 'time'), ('batch', 'height', 'width'), ('batch', 'image_height', 'image_width')]
    """
    taken: set[str] = set()
    named = []
    for spec in specs:
        axes = [_name(spec, axis, channels_first) for axis in spec.dynamic]
        axes = [name if name not in taken else f"{spec.name}_{name}" for name in axes]
        taken |= {name for name in axes if name != "batch"}
        named.append(replace(spec, axes=tuple(axes)))
    return named


def _name(spec: TensorSpec, axis: int, channels_first: bool) -> str:
    rank = len(spec.shape or ())
    if axis == 0:
        return "batch"
    if rank == 2:
        return "time" if str(spec.dtype).startswith(("int", "uint")) else "features"
    names = (CHANNELS_FIRST if channels_first else {}).get(rank) or BY_RANK.get(rank)
    return names[axis - 1] if names else f"{spec.name}_{axis}"


def name_output(
    name: str, shapes: Sequence[tuple[int, ...]], dtype: str, inputs: dict[str, tuple[int, ...]]
) -> TensorSpec:
    """Return the spec of an output that had these shapes in several runs.

    Args:
        name: the output's name.
        shapes: one shape a run.
        dtype: its dtype.
        inputs: the sizes that the inputs' dynamic axes had in these runs, by name.

    Returns:
        A spec whose axes are dynamic where their sizes differed, and called as the one input axis
        that had the same sizes.

    Example:
        >>> sizes = {"batch": (1, 3), "time": (4, 9)}
        >>> name_output("y", [(1, 4, 7, 2), (3, 9, 17, 2)], "float32", sizes).dynamic
        {0: 'batch', 1: 'time', 2: 'y_2'}
    """
    sizes = list(zip(*shapes, strict=True))
    shape = tuple(column[0] if len(set(column)) == 1 else None for column in sizes)
    axes = [_same(sizes[axis], inputs) or f"{name}_{axis}" for axis, size in enumerate(shape) if size is None]
    return TensorSpec(name, shape, dtype, tuple(axes))


def _same(sizes: tuple[int, ...], inputs: dict[str, tuple[int, ...]]) -> str | None:
    equal = [name for name, column in inputs.items() if column == sizes]
    return equal[0] if len(equal) == 1 else None
