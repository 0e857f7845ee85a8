"""Layers with kernels of their own: drop-in for Keras' layers of the same names."""

from unikeras.recurrent._layers import GRU, LSTM

__all__ = ["GRU", "LSTM"]


def __dir__() -> list[str]:
    return sorted(__all__)
