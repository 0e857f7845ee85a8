"""Leave Keras with an artifact that is verified against the model, in any format, from any backend.

A format is a row of `request/format_table.py`, a writer in `writers/` and a reader in `readers/`.
"""

from unikeras._specs.signature import Signature, TensorSpec
from unikeras.export._export_model import export_model
from unikeras.export._netron import netron_note as netron_note
from unikeras.export._offers import Offer, check_formats, export_formats
from unikeras.export._report import ArtifactReport, ExportReport
from unikeras.export.readers import Artifact, load_artifact, read_header
from unikeras.export.readers._keras_file import load_keras
from unikeras.export.reference.digests import sha256_of_weights as sha256_of_weights
from unikeras.export.request.targets import artifact_files
from unikeras.export.verify.known_artifacts import mark_harmless

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
