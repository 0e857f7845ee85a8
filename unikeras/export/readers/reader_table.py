"""The table of readers: one for each format."""

from unikeras.export.readers.artifact import Artifact
from unikeras.export.readers.litert import LiteRtArtifact
from unikeras.export.readers.onnx import OnnxArtifact
from unikeras.export.readers.openvino import OpenVinoArtifact
from unikeras.export.readers.pt2 import Pt2Artifact
from unikeras.export.readers.saved_model import SavedModelArtifact
from unikeras.export.readers.torchscript import TorchScriptArtifact

READERS: dict[str, type[Artifact]] = {
    reader.format: reader
    for reader in (
        SavedModelArtifact,
        TorchScriptArtifact,
        OnnxArtifact,
        Pt2Artifact,
        LiteRtArtifact,
        OpenVinoArtifact,
    )
}
