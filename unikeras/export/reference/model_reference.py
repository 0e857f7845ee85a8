"""The reference of an export: a model with all that its artifacts must reproduce, found once and then only read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from unikeras._specs.signature import Signature
from unikeras.export.reference.artifact_state import ArtifactState, ReferenceSequence
from unikeras.export.reference.digests import sha256_of_config, sha256_of_weights
from unikeras.export.reference.probe import KnownModel, SampleBatch, batches_of, know, probe
from unikeras.export.reference.remarks import remarks_on, rounds_integers, shortest_of
from unikeras.export.reference.stateful_model import ONE_STEP, one_step, reference_sequence


@dataclass(frozen=True)
class Reference:
    """What an artifact must reproduce.

    Attributes:
        known: the model, and what is known of it.
        wanted: `keras.InputSpec` by input name, which replace the model's own.
        signature: names, shapes, dtypes and structure.
        batches: seeded inputs, with what the model predicts on them.
        state: what an artifact must carry from step to step; None for a model without.
        sequence: what it must reproduce in chunks; None where nothing of the kind is to be verified.
        remarks: what the report says of every artifact.
        rounds_integers: whether the model resizes images of integers and rounds them.
        weights_sha256: a digest of the weights.
        config_sha256: a digest of the config; None for a class that cannot give one.
    """

    known: KnownModel
    wanted: Mapping[str, Any]
    signature: Signature
    batches: list[SampleBatch]
    state: ArtifactState | None
    sequence: ReferenceSequence | None
    remarks: tuple[str, ...]
    rounds_integers: bool
    weights_sha256: str
    config_sha256: str | None

    @property
    def model(self) -> Any:
        """The model."""
        return self.known.model

    @property
    def name(self) -> str:
        """The model's name."""
        return str(self.model.name)

    @property
    def shortest(self) -> int:
        """The least that a dynamic axis other than the batch is in any batch; 0 where there is none."""
        return shortest_of(self.signature, self.batches)

    def with_samples(self, samples: Any) -> Reference:
        """Return the reference with the model run on a user's own inputs.

        Raises:
            SignatureError: they do not fit the signature.
        """
        return replace(self, batches=batches_of(self.known, self.signature, samples))

    def with_longer_sequences(self) -> Reference:
        """Return the reference with longer sequences to compare, where PyTorch's guards refuse short ones."""
        signature, batches = probe(self.known, self.wanted, max(8, 2 * self.shortest))
        lengths = f"verified where dynamic axes are {shortest_of(signature, batches)} or more"
        remarks = [remark for remark in self.remarks if "where dynamic axes are" not in remark]
        remarks.append(f"PyTorch's guards in the file refuse short sequences; {lengths}")
        return replace(self, signature=signature, batches=batches, remarks=tuple(remarks))

    def in_one_step(self) -> Reference:
        """Return the reference for a format whose recurrences have a dynamic batch only where their time is fixed."""
        fixed = one_step(self.signature, self.state) if self.state else {}
        if not fixed:
            return self
        signature, batches = probe(self.known, {**self.wanted, **fixed})
        return replace(self, signature=signature, batches=batches, remarks=(*self.remarks, ONE_STEP))


def reference_of(
    model: Any,
    wanted: Mapping[str, Any] | None = None,
    state: ArtifactState | None = None,
    in_chunks: bool = True,
) -> Reference:
    """Return what an artifact of a model must reproduce.

    Args:
        model: a built `keras.Model`.
        wanted: `keras.InputSpec` by input name, to replace shapes and dtypes.
        state: which of its inputs and outputs are states, where it is the model of a step.
        in_chunks: whether such an artifact will be compared over a sequence in chunks.

    Raises:
        ExportError: the model does not run on inputs of its own signature.
        SignatureError: `wanted` does not fit the model.
    """
    known = know(model)
    signature, batches = probe(known, wanted)
    return Reference(
        known,
        dict(wanted or {}),
        signature,
        batches,
        state,
        reference_sequence(known, signature, state) if state and in_chunks else None,
        tuple(remarks_on(known, signature, batches, wanted)),
        rounds_integers(model, signature),
        sha256_of_weights(model),
        sha256_of_config(model),
    )
