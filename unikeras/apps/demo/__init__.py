"""The demo: one training loop, run on every installed backend, exported and reported.

`unikeras demo` runs it from a terminal. It is also an example to read: the loop that is the same on TensorFlow,
PyTorch and JAX is in `loop.py`.
"""

from __future__ import annotations

from unikeras.apps.demo.outputs import as_json
from unikeras.apps.demo.runner import Settings, run

__all__ = ["Settings", "as_json", "run"]
