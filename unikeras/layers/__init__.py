"""Layers with kernels of their own: drop-in for Keras' layers of the same names."""

from unikeras.layers._accelerate import accelerate as accelerate
from unikeras.layers._recurrent_layers import FUSED as FUSED
from unikeras.layers._recurrent_layers import GRU, LSTM

__all__ = ["GRU", "LSTM"]


def __dir__() -> list[str]:
    return sorted(__all__)
