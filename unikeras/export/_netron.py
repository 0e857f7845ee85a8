"""How to see the graph of an artifact: Netron, https://github.com/lutzroeder/netron, opens every format."""

from __future__ import annotations

import shlex
from pathlib import Path

NETRON = "https://netron.app"


def netron_note(path: Path) -> str:
    """Say how Netron draws an artifact; no link opens a local file, and Netron's page reads it in the browser alone.

    Args:
        path: the artifact's file or folder; of a SavedModel, Netron opens the file that holds the graph.
    """
    file = path / "saved_model.pb" if path.is_dir() else path
    return f"graph: netron {shlex.quote(str(file))} (pip install netron), or open the file at {NETRON}"
