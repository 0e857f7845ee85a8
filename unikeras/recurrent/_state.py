"""The memory of a model as a value: `{layer path: {"h": array, "c": array}}`, and flat in a fixed order.

Nothing here imports keras: an artifact's memory is read where no framework is installed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from unikeras.errors import SignatureError

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


def flat(specs: Sequence[StateSpec], state: Any) -> list[Any]:
    """Return what a caller holds as a list in the order of `specs`.

    Raises:
        SignatureError: a layer or a state is missing, is one too many, or has another shape than the model's.
            All of them are named.
    """
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
    problems += [
        f"holds {layer}/{name} of shape {_shape(held[layer, name])}, where {('batch', *spec.shape)} is due"
        for (layer, name), spec in known.items()
        if (layer, name) in held and _shape(held[layer, name])[1:] != spec.shape
    ]
    batches = {_shape(value)[:1] for value in held.values()}
    if len(batches) > 1:
        problems.append(f"mixes the batch sizes {sorted(size for (size,) in batches)}")
    if problems:
        raise SignatureError("the state " + "; ".join(problems))
    return [held[key] for key in known]


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(getattr(value, "shape", ()))
