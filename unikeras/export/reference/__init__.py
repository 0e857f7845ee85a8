"""What an artifact must reproduce: the model, run on seeded inputs, and the signature that this shows."""

from unikeras.export.reference.artifact_state import Memory, ReferenceSequence
from unikeras.export.reference.model_reference import Reference, reference_of
from unikeras.export.reference.stateful_model import StepLike, memory_of

__all__ = ["Memory", "Reference", "ReferenceSequence", "StepLike", "memory_of", "reference_of"]
