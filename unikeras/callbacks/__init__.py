"""Callbacks for `fit`: what is written while a model trains; and what writes it in a loop of one's own."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from unikeras._base.suggestions import missing_attribute

if TYPE_CHECKING:
    from unikeras.callbacks._checkpoint import Checkpoint as Checkpoint
    from unikeras.callbacks._history_file import HistoryFile as HistoryFile
    from unikeras.callbacks._history_lines import Run as Run
    from unikeras.callbacks._history_lines import read_history as read_history
    from unikeras.callbacks._history_plot import plot_history as plot_history
    from unikeras.callbacks._summary_writer import SummaryWriter as SummaryWriter
    from unikeras.callbacks._tensorboard import TensorBoard as TensorBoard

__all__ = ["Checkpoint", "HistoryFile", "Run", "SummaryWriter", "TensorBoard", "plot_history", "read_history"]

_MODULES = {
    "Checkpoint": "_checkpoint",
    "HistoryFile": "_history_file",
    "Run": "_history_lines",
    "SummaryWriter": "_summary_writer",
    "TensorBoard": "_tensorboard",
    "plot_history": "_history_plot",
    "read_history": "_history_lines",
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        # A subclass of keras.callbacks.Callback imports keras, and with it the framework.
        if name not in _MODULES:
            raise missing_attribute(__name__, name, __all__)
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
