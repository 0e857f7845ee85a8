"""The chat under its public name; the program is `unikeras.apps.chat`."""

from unikeras.apps.chat import Chat, byte_model, recall, train

__all__ = ["Chat", "byte_model", "recall", "train"]
