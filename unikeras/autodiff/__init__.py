"""Gradients, written once: TensorFlow's tape and JAX's transforms on every backend."""

from unikeras.autodiff._tape import GradientTape
from unikeras.autodiff._transforms import value_and_grad

__all__ = ["GradientTape", "value_and_grad"]
