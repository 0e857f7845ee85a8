"""The contract of a reader: one format's own program, seen as something that predicts."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Literal

from unikeras._base.notebook_html import table
from unikeras._base.printable import printable
from unikeras._base.text import brief, fact
from unikeras._keras.samples import Array
from unikeras._specs.signature import Signature, TensorSpec
from unikeras._specs.states import ABSENT, State, StateSpec
from unikeras._specs.structure import put_together
from unikeras.errors import ArgumentError, ArtifactError, UnikerasError
from unikeras.export._metadata import loads
from unikeras.export._netron import netron_note
from unikeras.export.readers import _state_steps
from unikeras.export.readers._agreement import reconcile_signature, reconcile_state
from unikeras.export.readers._fitting import fit
from unikeras.export.reference.artifact_state import ArtifactState


class Artifact(ABC):
    """An exported model, loaded in its format's own runtime.

    Attributes:
        format: the format's name.
        metadata: what `export_model` wrote into it; empty where something else made it.
        signature: its inputs and outputs, in order.

    Args:
        path: the artifact's file or folder.

    Example:
        >>> import keras, numpy as np, tempfile, unikeras as uk
        >>> offer = next(row for row in uk.export_formats() if row.available)
        >>> model = keras.Sequential([keras.Input((4,), name="x"), keras.layers.Dense(2, name="y")])
        >>> path = f"{tempfile.mkdtemp()}/model{offer.suffix}"
        >>> report = uk.export_model(model, path)
        >>> artifact = uk.load_artifact(path)
        >>> str(artifact.signature)
        '(x: float32 (None, 4)) -> (y: float32 (None, 2))'
        >>> artifact.predict(np.ones((3, 4), "float32")).shape
        (3, 2)
    """

    format: ClassVar[str]
    # The backend whose worker has the runtime at hand; None for one without a framework.
    worker: ClassVar[str | None]
    # Whether opening a file can run what its maker wrote.
    runs_code: ClassVar[bool] = False
    # What the runtime calls the inputs: the model's own names, identifiers made of them, or nothing sure.
    names: ClassVar[Literal["own", "identifiers", "positions"]] = "own"
    # What stands at this place of each file; `b""` where nothing is sure.
    magic: ClassVar[tuple[int, bytes]] = (0, b"")
    # What to import before a file is opened.
    modules: ClassVar[tuple[str, ...]] = ()

    metadata: dict[str, Any]
    signature: Signature
    # How a copy opens the file again, as `__reduce__` returns it; set by `load_artifact`.
    reopening: tuple[Callable[..., Artifact], tuple[Any, ...]] | None = None
    # The states that it carries from step to step; None where it was not exported from a step.
    artifact_state: ArtifactState | None

    @classmethod
    def prepare(cls) -> None:
        """Import the runtime."""
        for name in cls.modules:
            importlib.import_module(name)

    @classmethod
    def look(cls, path: Path, trust: bool) -> list[str]:
        """Refuse operators that only a trusted file may have.

        Args:
            path: the artifact's.
            trust: whether it may have them.

        Returns:
            The names of further files that it takes weights from.

        Raises:
            Refused: it has one.
        """
        return []

    @classmethod
    @abstractmethod
    def missing(cls) -> str | None:
        """Say in one sentence what is not installed, with the pip line, or None where all is there."""

    @abstractmethod
    def __init__(self, path: Path) -> None:
        """Load an artifact; whatever this raises means that the file is none."""

    @abstractmethod
    def run(self, inputs: list[Array]) -> Any:
        """Return what the artifact computes, as numpy arrays.

        Args:
            inputs: one array per input, in the signature's order, of its dtypes.

        Returns:
            A list of the outputs in the signature's order, or, where the signature names none, whatever
            structure the artifact has.
        """

    def predict(self, x: Any) -> Any:
        """Run the artifact.

        Args:
            x: the inputs, batch first: an array; a list or tuple in the signature's order; a dict by
                input name; or the model's own nested structure. Values are cast to the input's dtype
                within their kind (float64 to float32), integers also to floats.

        Returns:
            Numpy arrays in the model's own structure: one array, a list, or a dict by output name.

        Raises:
            SignatureError: names, number, shapes or dtypes do not fit the signature.
            ArtifactError: they fit, and the runtime fails on them.
        """
        specs = self.signature.inputs
        arrays = [fit(spec, value) for spec, value in zip(specs, self.signature.flatten(x), strict=True)]
        if self.artifact_state:
            _state_steps.check_batch({spec.name: array for spec, array in zip(specs, arrays, strict=True)})
        outputs = self.compute(arrays)
        return put_together(self.signature.results, outputs) if self.signature.outputs else outputs

    def compute(self, inputs: list[Array]) -> Any:
        """Return what `run` returns, or raise what its runtime raises under a name.

        Args:
            inputs: one array per input, in the signature's order, of its dtypes.

        Returns:
            What `run` returns.

        Raises:
            ArtifactError: the runtime fails, or returns more or fewer outputs than the signature says.
        """
        try:
            outputs = self.run(inputs)
        except UnikerasError:
            raise
        except Exception as error:  # each runtime has its own
            shapes = ", ".join(
                f"{printable(spec.name)} {array.shape}"
                for spec, array in zip(self.signature.inputs, inputs, strict=True)
            )
            raise ArtifactError(f"the {self.format} runtime failed on {shapes}: {brief(error)}") from error
        known = len(self.signature.outputs)
        if known and len(outputs) != known:
            raise ArtifactError(f"the {self.format} artifact returned {len(outputs)} outputs, not {known}")
        return outputs

    @property
    def states(self) -> tuple[StateSpec, ...]:
        """What the artifact carries from step to step; a StateError where it was not exported from a step."""
        return _state_steps.artifact_state_of(self).states

    @property
    def fingerprint(self) -> str:
        """Tells models apart whose memories must not be mixed; a StateError where there is no memory."""
        return _state_steps.artifact_state_of(self).fingerprint

    @property
    def sequence_outputs(self) -> tuple[bool, ...]:
        """For each output that is no state, whether it has a time axis; a StateError where there is no memory."""
        return _state_steps.artifact_state_of(self).sequence_outputs

    @property
    def sequence_inputs(self) -> tuple[bool, ...]:
        """For each input that is no state, whether it has a time axis; a StateError where there is no memory."""
        artifact_state = _state_steps.artifact_state_of(self)
        return tuple(
            spec.name in artifact_state.sequence_inputs
            for spec in _state_steps.own_inputs(self, artifact_state)
        )

    def flatten_inputs(self, x: Any) -> list[Any]:
        """Return what a caller passes to `step` as a list in the order of the inputs that are no states.

        Args:
            x: the inputs without the states, (batch, time, ...), passed as for `predict`.

        Returns:
            One array for each input that is no state.

        Raises:
            StateError: the artifact was not exported from a step.
            SignatureError: names or number do not fit.
        """
        return _state_steps.flatten_inputs(self, _state_steps.artifact_state_of(self), x)

    def initial_state(self, batch_size: int) -> State:
        """Return the memory of sequences that have not begun.

        Args:
            batch_size: how many sequences.

        Returns:
            `{layer path: {"h": array, ...}}`: zeros, or what the layer itself begins with.

        Raises:
            StateError: the artifact was not exported from a step.
            SignatureError: the batch size is not a number of 1 or more.
        """
        return _state_steps.initial_state(_state_steps.artifact_state_of(self), batch_size)

    def step(self, x: Any, state: Any = ABSENT) -> tuple[Any, State]:
        """Run the artifact over some steps, from a memory on.

        Chunks of any length give what the whole sequence gives at once. An artifact that takes a fixed number
        of steps, as LiteRT's do, is run as often as needed.

        Args:
            x: the inputs without the states, (batch, time, ...), passed as for `predict`.
            state: from `initial_state`, or from the step before.

        Returns:
            The outputs, as the model returns them, and the memory after the last step. An output that has no
            time axis is that of the last step.

        Raises:
            ArgumentError: there is no state.
            StateError: the artifact was not exported from a step.
            SignatureError: names, shapes, dtypes, batch or number of steps do not fit.
            ArtifactError: they fit, and the runtime fails on them.
        """
        return _state_steps.step(self, x, state)

    def _read(self, text: str | bytes | None, known: Signature) -> None:
        """Set metadata and signature from the metadata's text, or from what the runtime itself knows.

        Raises:
            ValueError: the metadata contradicts the runtime, or is not what `export_model` writes.
        """
        self.metadata = loads(text)
        self.signature, self.artifact_state = known, None
        if self.metadata:
            self.signature = reconcile_signature(self.metadata["signature"], known, self.names)
            self.artifact_state = reconcile_state(self.metadata.get("memory"), self.signature)

    def __reduce__(self) -> Any:
        if self.reopening is None:
            raise ArgumentError(
                f"this {self.format} artifact was not opened by load_artifact, so that a copy does not know its file"
            )
        return self.reopening

    def __repr__(self) -> str:
        return f"<{self.format} artifact {self.signature}>"

    def _repr_html_(self) -> str:
        sides = (("input", self.signature.inputs), ("output", self.signature.outputs))
        rows: list[tuple[str, ...]] = [
            (side, spec.name, str(spec).removeprefix(f"{spec.name}: "))
            for side, specs in sides
            for spec in specs
        ]
        said = {name: value for name, value in self.metadata.items() if name not in ("signature", "memory")}
        facts = [(name, fact(value)) for name, value in said.items()]
        note = netron_note(self.reopening[1][0]) if self.reopening else ""
        return table(f"{self.format} artifact", [*rows, *facts], note)


def foreign_signature(inputs: list[TensorSpec], outputs: list[TensorSpec]) -> Signature:
    """Return the signature of an artifact that something else made: one output alone, or a dict."""
    numbers = list(range(len(outputs)))
    results = 0 if len(outputs) == 1 else dict(zip((spec.name for spec in outputs), numbers, strict=True))
    return Signature(tuple(inputs), tuple(outputs), list(range(len(inputs))), results)
