"""The contract of a runtime: one format's own program, seen as something that predicts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from unikeras.errors import ArgumentError, CorruptArtifact
from unikeras.export._memory import Memory
from unikeras.export._metadata import loads
from unikeras.export._samples import Array
from unikeras.export._signature import Signature, TensorSpec
from unikeras.export._structure import put_together
from unikeras.export.runtimes import _steps
from unikeras.export.runtimes._fitting import fitted
from unikeras.recurrent._state import ABSENT, State, StateSpec


class Artifact(ABC):
    """An exported model, loaded in its format's own runtime.

    Attributes:
        format: the format's name.
        metadata: what `export_model` wrote into it; empty where something else made it.
        signature: its inputs and outputs, in order.

    Example:
        >>> import keras, tempfile, unikeras as uk
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

    metadata: dict[str, Any]
    signature: Signature
    # The file and its digest, set by `load_artifact`: a copy in another process opens the file again.
    source: tuple[Path, str] | None = None
    _memory: Memory | None

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
        """
        specs = self.signature.inputs
        arrays = [fitted(spec, value) for spec, value in zip(specs, self.signature.flatten(x), strict=True)]
        if self._memory:
            _steps.check_batch({spec.name: array for spec, array in zip(specs, arrays, strict=True)})
        outputs = self.run(arrays)
        return put_together(self.signature.results, outputs) if self.signature.outputs else outputs

    @property
    def states(self) -> tuple[StateSpec, ...]:
        """What the artifact carries from step to step; a StateError where it was not exported from a step."""
        return _steps.memory_of(self).states

    @property
    def fingerprint(self) -> str:
        """Tells models apart whose memories must not be mixed; a StateError where there is no memory."""
        return _steps.memory_of(self).fingerprint

    @property
    def sequence_outputs(self) -> tuple[bool, ...]:
        """For each output that is no state, whether it has a time axis; a StateError where there is no memory."""
        return _steps.memory_of(self).sequence_outputs

    @property
    def sequence_inputs(self) -> tuple[bool, ...]:
        """For each input that is no state, whether it has a time axis; a StateError where there is no memory."""
        memory = _steps.memory_of(self)
        return tuple(spec.name in memory.sequence_inputs for spec in _steps.own_inputs(self, memory))

    def flatten_inputs(self, x: Any) -> list[Any]:
        """Return what a caller passes to `step` as a list in the order of the inputs that are no states.

        Raises:
            StateError: the artifact was not exported from a step.
            SignatureError: names or number do not fit.
        """
        return _steps.flatten_inputs(self, _steps.memory_of(self), x)

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
        return _steps.initial_state(_steps.memory_of(self), batch_size)

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
        """
        return _steps.step(self, x, state)

    def _read(self, text: str | bytes | None, foreign: Signature) -> None:
        """Set metadata and signature from the metadata's text, or from what the runtime itself knows."""
        self.metadata = loads(text)
        known = self.metadata.get("signature")
        self.signature = Signature.from_dict(known) if known else foreign
        memory = self.metadata.get("memory")
        self._memory = Memory.from_dict(memory) if memory else None

    def __reduce__(self) -> Any:
        if self.source is None:
            raise ArgumentError(
                f"this {self.format} artifact was not opened by load_artifact, so that a copy does not know its file"
            )
        return reopened, self.source

    def __repr__(self) -> str:
        return f"<{self.format} artifact {self.signature}>"


def reopened(path: Path, digest: str) -> Artifact:
    """Return a pickled artifact: its file, opened again.

    Raises:
        ArtifactNotFound: the file is gone.
        CorruptArtifact: its content is not that of the artifact that was pickled.
    """
    from unikeras.export.runtimes import load_artifact  # the package imports this module

    artifact = load_artifact(path)
    if artifact.source != (path, digest):
        raise CorruptArtifact(
            f"{path} has other content than the artifact that was pickled; load it anew with load_artifact"
        )
    return artifact


def foreign(inputs: list[TensorSpec], outputs: list[TensorSpec]) -> Signature:
    """Return the signature of an artifact that something else made: one output alone, or a dict."""
    numbers = list(range(len(outputs)))
    results = 0 if len(outputs) == 1 else dict(zip((spec.name for spec in outputs), numbers, strict=True))
    return Signature(tuple(inputs), tuple(outputs), list(range(len(inputs))), results)
