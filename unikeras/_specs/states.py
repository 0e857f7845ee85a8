"""The state of a model as a value: `{layer path: {"h": array, "c": array}}`, and flat in a fixed order.

Nothing here imports keras: an artifact's state is read where no framework is installed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from unikeras.errors import ArgumentError, SignatureError

# What a caller holds.
State = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class StateSpec:
    """One tensor that a recurrent layer carries from step to step.

    Attributes:
        layer: the layer's path in the model: its name, after the names of the models that it is nested in.
        name: `"h"`, `"c"`; for a cell with other states, their numbers.
        shape: without the batch.
        dtype: such as `"float32"`.
    """

    layer: str
    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def input_name(self) -> str:
        """What an artifact calls it as an input.

        Example:
            >>> StateSpec("lstm", "h", (8,), "float32").input_name
            'state/lstm/h'
        """
        return f"state/{self.layer}/{self.name}"

    @property
    def output_name(self) -> str:
        """What an artifact calls it as an output."""
        return f"state_out/{self.layer}/{self.name}"

    def to_dict(self) -> dict[str, Any]:
        """Return the spec as data for JSON."""
        return {**asdict(self), "shape": list(self.shape)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> StateSpec:
        """Return the spec that `to_dict` made this from."""
        return cls(data["layer"], data["name"], tuple(data["shape"]), data["dtype"])


def nested(specs: Sequence[StateSpec], values: Sequence[Any]) -> State:
    """Return flat values, in the order of `specs`, as what a caller holds.

    Example:
        >>> specs = [StateSpec("lstm", name, (8,), "float32") for name in "hc"]
        >>> nested(specs, [1, 2])
        {'lstm': {'h': 1, 'c': 2}}
    """
    state: State = {}
    for spec, value in zip(specs, values, strict=True):
        state.setdefault(spec.layer, {})[spec.name] = value
    return state


# Instead of a state where a caller passed none.
ABSENT: Any = object()

# Dtypes of which values become a state's: as numpy, TensorFlow, PyTorch and JAX call them.
_KINDS = tuple("fiub")  # the same in numpy's one-letter code, where ml_dtypes are of no kind
NUMBERS = re.compile(r"(b?float|u?int|bool)\d*")


def flat(specs: Sequence[StateSpec], state: Any, batch: int | None = None) -> list[Any]:
    """Return what a caller holds as a list in the order of `specs`.

    Args:
        specs: what the model carries.
        state: what the caller holds.
        batch: how many sequences the state has to be of; None where that is not known.

    Raises:
        ArgumentError: there is no state.
        SignatureError: a layer or a state is missing, is one too many, or has another shape, batch size or kind of
            numbers than the model's. All of them are named.
    """
    if state is ABSENT:
        raise ArgumentError(
            "step(x, state) needs the state as its second argument: begin with initial_state(batch_size), and go on "
            "with the state that the call before returned: y, state = step(x, state)"
        )
    if not isinstance(state, Mapping) or not all(isinstance(part, Mapping) for part in state.values()):
        raise SignatureError(
            f"a state is {{layer path: {{name: array}}}}, as initial_state(batch_size) returns; received {state!r:.200}"
        )
    held = {(layer, name): value for layer, part in state.items() for name, value in part.items()}
    known = {(spec.layer, spec.name): spec for spec in specs}
    problems = [f"lacks {layer}/{name}" for layer, name in known if (layer, name) not in held]
    problems += [
        f"has {layer}/{name}, which no layer does" for layer, name in held if (layer, name) not in known
    ]
    present = {key: spec for key, spec in known.items() if key in held}
    problems += [problem for key, spec in present.items() for problem in _problems(spec, held[key])]
    problems += _batch_problems({"/".join(map(str, key)): shape_of(held[key]) for key in present}, batch)
    if problems:
        raise SignatureError("the state " + "; ".join(problems))
    return [held[key] for key in known]


def check_flat(specs: Sequence[StateSpec], values: Sequence[Any], batch: int | None = None) -> list[Any]:
    """Return a flat state; see `flat` for the arguments and for what is refused."""
    if len(values) != len(specs):
        raise SignatureError(f"the state has {len(values)} tensors, where {len(specs)} are due")
    if batch is not None and all(
        _is_exactly(spec, value, batch) for spec, value in zip(specs, values, strict=True)
    ):
        return list(values)
    return flat(specs, nested(specs, values), batch)


def _is_exactly(spec: StateSpec, value: Any, batch: int) -> bool:
    """Say, fast, whether a value is a numpy array of numbers, of just the shape that is due."""
    return getattr(getattr(value, "dtype", None), "kind", None) in _KINDS and value.shape == (
        batch,
        *spec.shape,
    )


def _problems(spec: StateSpec, value: Any) -> list[str]:
    """Return what is wrong with one tensor, batch size aside."""
    name, shape, dtype = f"{spec.layer}/{spec.name}", shape_of(value), getattr(value, "dtype", None)
    if shape is None or dtype is None:
        return [f"holds {name} as {type(value).__name__}, where a tensor or an array is due"]
    if len(shape) != 1 + len(spec.shape) or not all(map(_agree, shape[1:], spec.shape)):
        return [f"holds {name} of shape {shape}, where {('batch', *spec.shape)} is due"]
    kind = dtype_name(dtype)
    return [] if NUMBERS.match(kind) else [f"holds {name} of dtype {kind}, where {spec.dtype} is due"]


def _batch_problems(shapes: Mapping[str, tuple[int | None, ...] | None], batch: int | None) -> list[str]:
    sizes = {name: shape[0] for name, shape in shapes.items() if shape and shape[0] is not None}
    if len(set(sizes.values())) > 1:
        return [f"mixes the batch sizes {sorted(set(sizes.values()))}"]
    if batch is None or set(sizes.values()) <= {batch}:
        return []
    (size,) = set(sizes.values())
    return [
        f"is of batch size {size} and the input of batch size {batch}; begin with initial_state({batch}), or pass "
        "the rows that belong together"
    ]


def _agree(size: int | None, wanted: int) -> bool:
    return size is None or size == wanted


def dtype_name(dtype: Any) -> str:
    """Return what a dtype of any framework is called, such as `"float32"`.

    Example:
        >>> dtype_name("float32"), dtype_name("torch.int64")
        ('float32', 'int64')
    """
    return getattr(dtype, "name", None) or str(dtype).rpartition(".")[2]


def shape_of(value: Any) -> tuple[int | None, ...] | None:
    """Return a shape, with None for a size that a trace leaves open; None for what has no shape, or an unknown one."""
    try:
        return tuple(value.shape)
    except (AttributeError, TypeError, ValueError):
        return None
