"""Chats with a byte-level recurrent model that remembers; `unikeras chat` holds them in a terminal.

A model to chat with takes bytes as integers, `(batch, time)`, and returns the logits of the next byte,
`(batch, time, classes)` with at most 256 classes. Text needs no vocabulary file then: a byte is its own number.

`Chat` talks, `train` makes a model that has something to say, and `recall` measures whether it remembers.
Importing this package does not import keras, so a chat with an artifact runs without it.
"""

from __future__ import annotations

from unikeras.apps.chat._chat import Chat
from unikeras.apps.chat._recall import Recall, recall
from unikeras.apps.chat._training import Progress, byte_model, train

__all__ = ["Chat", "Progress", "Recall", "byte_model", "recall", "train"]
