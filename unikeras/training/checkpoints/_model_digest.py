"""What tells a model's configuration from another's, whatever names Keras gave its layers."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from unikeras._keras.without_tensorflow import without_tensorflow

# A number that Keras appended to a name.
_APPENDED = re.compile(r"_\d+(?=\")")


def model_digest(model: Any) -> str | None:
    """Return a digest of a model's configuration; None where it has none, or one that differs in each process.

    Args:
        model: a Keras model or layer, or None.
    """
    try:
        with without_tensorflow():
            text = json.dumps(model.get_config(), sort_keys=True, default=str)
    except Exception:  # a user's layer without `get_config`, or with one that fails
        return None
    if " object at 0x" in text or ('"module": "' in text and "TorchModuleWrapper" in text):
        return None
    return hashlib.sha256(_APPENDED.sub("", text).encode()).hexdigest()
