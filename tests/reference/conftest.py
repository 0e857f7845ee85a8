"""The truths here are modules of their own, so that a test states its claim alone."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
