"""The demo: one training loop, run on every installed backend, exported and reported.

`unikeras demo` runs it from a terminal. It reads as an example, too: the loop that is the same on TensorFlow,
PyTorch and JAX stands in `loop.py`.
"""

from __future__ import annotations

from unikeras.apps.demo.runner import Settings, run

__all__ = ["Settings", "run"]
