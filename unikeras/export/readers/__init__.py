"""The readers of artifacts, one for each format."""

from unikeras.export.readers.artifact import Artifact
from unikeras.export.readers.opening import load_artifact, outputs_of, read_header
from unikeras.export.readers.reader_table import RUNTIMES

__all__ = ["RUNTIMES", "Artifact", "load_artifact", "outputs_of", "read_header"]
