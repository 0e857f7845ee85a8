"""Chats with a byte-level recurrent model that remembers; `unikeras chat` holds them in a terminal.

A model of this room takes bytes as integers, `(batch, time)`, and returns the logits of the next byte,
`(batch, time, classes)` with at most 256 classes. Text needs no vocabulary file then: a byte is its own number.

`Chat` talks, `train` makes a model that has something to say, and `recall` measures whether it remembers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unikeras._base.suggestions import missing_attribute
from unikeras.apps.chat._chat import Chat

if TYPE_CHECKING:
    from unikeras.apps.chat._recall import recall
    from unikeras.apps.chat._training import byte_model, train

__all__ = ["Chat", "byte_model", "recall", "train"]

# These need keras; a chat with an artifact does not.
_LATER = {"byte_model": "_training", "recall": "_recall", "train": "_training"}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise missing_attribute(__name__, name, __all__)
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
