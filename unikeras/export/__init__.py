"""Leave Keras with an artifact that is verified against the model, in any format, from any backend.

A format is a row of `request/formats.py`, a writer in `writers/` and a reader in `readers/`.
"""

from unikeras._specs.signature import Signature, TensorSpec
from unikeras.export._export_model import export_model
from unikeras.export._offers import Offer, export_formats
from unikeras.export._report import ArtifactReport, ExportReport
from unikeras.export.readers import Artifact, load_artifact

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
