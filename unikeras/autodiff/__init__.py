"""Gradients, written once: TensorFlow's tape and JAX's transforms on every backend."""

from unikeras.autodiff._check import check_gradients
from unikeras.autodiff._custom import custom_gradient
from unikeras.autodiff._derivatives import hessian, hvp, jacobian
from unikeras.autodiff._remat import remat
from unikeras.autodiff._rules import no_grad, stop_gradient
from unikeras.autodiff._tape import GradientTape
from unikeras.autodiff._transforms import grad, jvp, value_and_grad, vjp
from unikeras.autodiff._vmap import vmap

__all__ = [
    "GradientTape",
    "check_gradients",
    "custom_gradient",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "no_grad",
    "remat",
    "stop_gradient",
    "value_and_grad",
    "vjp",
    "vmap",
]
