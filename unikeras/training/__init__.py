"""Training, written once: functions compiled with their state."""

from unikeras.training._function import function

__all__ = ["function"]
