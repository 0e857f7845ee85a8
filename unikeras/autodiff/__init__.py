"""Gradients, written once: TensorFlow's tape and JAX's transforms on every backend."""

from unikeras.autodiff._applied_gradients import check_applied_gradients as check_applied_gradients
from unikeras.autodiff._applied_gradients import listen_to_applied_gradients as listen_to_applied_gradients
from unikeras.autodiff._barriers import no_grad, stop_gradient
from unikeras.autodiff._custom_gradient import custom_gradient
from unikeras.autodiff._derivatives import hessian, hvp, jacobian
from unikeras.autodiff._gradient_tape import GradientTape
from unikeras.autodiff._gradient_tape import gradients_to_apply as gradients_to_apply
from unikeras.autodiff._gradient_tape import is_differentiated as is_differentiated
from unikeras.autodiff._numeric_check import check_gradients
from unikeras.autodiff._rematerialize import remat
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
