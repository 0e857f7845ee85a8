"""Leave Keras with an artifact that is proven equal to the model, in any format, from any backend.

A format is a row of `_formats`, a writer in `routes/` and a reader in `runtimes/`.
"""

from unikeras.export._export import export_model
from unikeras.export._offers import Offer, check_formats, export_formats
from unikeras.export._proven import mark_harmless
from unikeras.export._report import ArtifactReport, ExportReport
from unikeras.export._signature import Signature, TensorSpec
from unikeras.export._targets import artifact_files
from unikeras.export.runtimes import Artifact, load_artifact, read_header
from unikeras.export.runtimes._keras_file import load_keras

__all__ = [
    "Artifact",
    "ArtifactReport",
    "ExportReport",
    "Offer",
    "Signature",
    "TensorSpec",
    "artifact_files",
    "check_formats",
    "export_formats",
    "export_model",
    "load_artifact",
    "load_keras",
    "mark_harmless",
    "read_header",
]
