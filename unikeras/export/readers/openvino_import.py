"""OpenVINO, imported without its usage statistics."""

from __future__ import annotations

import sys
import threading
from typing import Any

_lock = threading.Lock()  # one thread must not take away what another one hides


def load_openvino() -> Any:
    """Return the module `openvino`.

    OpenVINO 2026.4 writes to the home folder, forks and calls home when it is imported (openvino/tools/ovc),
    unless the package that does it is not there. A fork is more than JAX's threads survive.
    """
    hidden = "openvino_telemetry"
    with _lock:
        if "openvino" not in sys.modules and hidden not in sys.modules:
            sys.modules[hidden] = None  # type: ignore[assignment]
        try:
            import openvino
        finally:
            if sys.modules.get(hidden, ...) is None:
                del sys.modules[hidden]
    return openvino
