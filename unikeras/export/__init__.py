"""Leave Keras with an artifact that is verified against the model, in any format, from any backend.

A format is a row of `_formats`, a writer in `routes/` and a reader in `runtimes/`.
"""

from unikeras.export._export import export_model
from unikeras.export._offers import Offer, export_formats
from unikeras.export._report import ArtifactReport, ExportReport
from unikeras.export._signature import Signature, TensorSpec
from unikeras.export.runtimes import Artifact, load_artifact

__all__ = [
    "Artifact",
    "ArtifactReport",
    "ExportReport",
    "Offer",
    "Signature",
    "TensorSpec",
    "export_formats",
    "export_model",
    "load_artifact",
]
