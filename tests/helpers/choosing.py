"""A fresh process that chooses a backend, and the keras.json that it finds."""

from __future__ import annotations

import json
import os
import subprocess
import sys


def run(code, tmp_path, **environment):
    """Run code in a process whose environment names no backend but what is given here."""
    clean = {k: v for k, v in os.environ.items() if k not in ("KERAS_BACKEND", "KERAS_HOME")}
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**clean, "KERAS_HOME": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def keras_json(tmp_path, content):
    """Write the configuration that `run` finds: text, or what becomes JSON."""
    (tmp_path / "keras.json").write_text(content if isinstance(content, str) else json.dumps(content))
