"""What an artifact knows of the state that it takes and returns. Nothing here imports keras."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from unikeras._keras.samples import Array
from unikeras._specs.signature import Signature
from unikeras._specs.states import StateSpec


@dataclass(frozen=True)
class ArtifactState:
    """The states of an exported step, and which of its other tensors run over time.

    Attributes:
        states: in the order in which they follow the model's own inputs and outputs.
        fingerprint: tells models apart whose memories must not be mixed.
        sequence_inputs: the names of the inputs whose second axis is time.
        sequence_outputs: for each output that is no state, whether its second axis is time.
        results: the structure of these outputs in a call, with their numbers for leaves.
        initial: what states begin with, by the names of their inputs, where that is not zeros: nested lists.
    """

    states: tuple[StateSpec, ...]
    fingerprint: str
    sequence_inputs: tuple[str, ...]
    sequence_outputs: tuple[bool, ...]
    results: Any = 0
    initial: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the state as data for JSON."""
        return {
            "states": [spec.to_dict() for spec in self.states],
            "fingerprint": self.fingerprint,
            "sequence_inputs": list(self.sequence_inputs),
            "sequence_outputs": list(self.sequence_outputs),
            "results": self.results,
            "initial": dict(self.initial),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ArtifactState:
        """Return the state that `to_dict` made this from."""
        states = tuple(map(StateSpec.from_dict, data["states"]))
        sequences = tuple(data["sequence_inputs"]), tuple(data["sequence_outputs"])
        return cls(states, data["fingerprint"], *sequences, data["results"], data["initial"])

    @property
    def input_names(self) -> list[str]:
        """What the states are called as inputs."""
        return [spec.input_name for spec in self.states]

    @property
    def output_names(self) -> list[str]:
        """What they are called as outputs."""
        return [spec.output_name for spec in self.states]

    def chunk(self, signature: Signature) -> int | None:
        """Return how many steps a run of the artifact takes; None where their number is dynamic.

        Args:
            signature: the artifact's.
        """
        sizes = [
            spec.shape[1] for spec in signature.inputs if spec.name in self.sequence_inputs and spec.shape
        ]
        return next((size for size in sizes if size is not None), None)


@dataclass(frozen=True)
class ReferenceSequence:
    """A sequence, and what the model makes of it at once.

    Attributes:
        x: the inputs that are no states, by name.
        state: the states at its beginning, by the names of their inputs.
        chunks: the lengths of the pieces in which an artifact must take it.
        outputs: the outputs and states at its end, by name.
    """

    x: dict[str, Array]
    state: dict[str, Array]
    chunks: tuple[int, ...]
    outputs: dict[str, Array]
