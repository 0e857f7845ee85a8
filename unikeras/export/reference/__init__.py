"""What an artifact must reproduce: the model, run on seeded inputs, and the signature that this shows."""

from unikeras.export.reference.artifact_state import ArtifactState, ReferenceSequence
from unikeras.export.reference.model_reference import Reference, reference_of
from unikeras.export.reference.stateful_model import StepLike, artifact_state_of

__all__ = ["ArtifactState", "Reference", "ReferenceSequence", "StepLike", "artifact_state_of", "reference_of"]
