"""The readers of artifacts, one for each format."""

from unikeras.export.readers.artifact import Artifact
from unikeras.export.readers.opening import load_artifact, outputs_of, read_header
from unikeras.export.readers.reader_table import READERS

__all__ = ["READERS", "Artifact", "load_artifact", "outputs_of", "read_header"]
