"""What one side of a comparison computed, as plain data that travels between processes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from unikeras.compare._gaps import Array


@dataclass(frozen=True)
class Sent:
    """A tensor among a call's arguments, with the mask that Keras keeps beside it."""

    array: Array
    mask: Array | None = None


@dataclass(frozen=True)
class LayerCall:
    """One call of a layer, in inference or in the first training step.

    Attributes:
        path: the layer's path in its model.
        number: how many calls of the layer came before.
        kind: the name of its class.
        arguments: positional and keyword arguments, with `Sent` for tensors; None where they cannot travel.
        outputs: flat.
        is_leaf: whether no other part of the model was called inside.
    """

    path: str
    number: int
    kind: str
    arguments: tuple[Any, Any] | None
    outputs: list[Array]
    is_leaf: bool

    @property
    def name(self) -> str:
        """The path, with the number of the call where it is not the first."""
        return f"{self.path} (call {self.number + 1})" if self.number else self.path


@dataclass(frozen=True)
class VariableRecord:
    """A variable of the model: which layer has it, and where it stands there."""

    layer: str
    name: str
    trainable: bool


@dataclass(frozen=True)
class StepRecord:
    """One training step.

    Attributes:
        loss: before the step.
        gradients: one for each trainable variable; None where there is none.
        values: of all variables, after the step.
        slots: of the optimizer, after the step: (its name, the number of the variable it belongs to or None, value).
    """

    loss: float
    gradients: list[Array | None]
    values: list[Array]
    slots: list[tuple[str, int | None, Array]]


@dataclass(frozen=True)
class Replay:
    """What a layer computes alone, on the first side's inputs and with the first side's gradient of its output.

    Attributes:
        outputs: in inference.
        training: in training.
        state: its variables that are not trained, after the call in training.
        gradients: of its inputs and of its trained variables, by a name for each.
        error: why it did not run; None where it did.
    """

    outputs: list[Array] = field(default_factory=list)
    training: list[Array] = field(default_factory=list)
    state: dict[str, Array] = field(default_factory=dict)
    gradients: dict[str, Array] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True)
class SideRun:
    """All that one side computed.

    Attributes:
        versions: of the backend and of Keras.
        outputs: of the model, flat.
        calls: of its layers in inference, in the order in which they finished.
        training: the same of the first training step, random draws off.
        cotangents: for each of those, the gradients of the loss with respect to its outputs.
        variables: all of them, as `StepRecord.values` lists them.
        initial: their values before the first step.
        steps: the training steps.
        replays: by the number of a call of the first side in `calls`.
        notes: what to know of the run.
        seconds: how long it took.
    """

    versions: dict[str, str]
    outputs: list[Array]
    calls: list[LayerCall]
    training: list[LayerCall] = field(default_factory=list)
    cotangents: list[list[Array | None]] = field(default_factory=list)
    variables: list[VariableRecord] = field(default_factory=list)
    initial: list[Array] = field(default_factory=list)
    steps: list[StepRecord] = field(default_factory=list)
    replays: dict[int, Replay] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(frozen=True)
class Samples:
    """What both sides run on.

    Attributes:
        arguments: the structure of the model's positional arguments, with numbers of inputs as leaves.
        inputs: flat.
        targets: in the structure of the outputs; None where only the forward pass is compared.
    """

    arguments: list[Any]
    inputs: list[Array]
    targets: Any = None
