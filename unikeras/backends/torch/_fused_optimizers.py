"""Updates of Adam, AdamW and SGD as one operator each, which writes Keras' variables in place.

Keras' own updates are six to twelve calls over lists of tensors, each of which reads and writes all parameters, and
SGD's takes the learning rate out of its tensor, which no trace can follow. The operators follow Keras' rules; decay,
clipping, averages and accumulation stay Keras', which does them around the update.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from keras import ops
from keras.src.backend.torch.optimizers import torch_adam, torch_sgd

from unikeras._keras.patched import patched

Tensors = list[torch.Tensor]
# torch's kernel corrects Adam's bias by 1 - beta**step and adds epsilon after that; Keras corrects by the learning
# rate. After so many steps the kernel's correction is exactly 1, and its rule is Keras'.
_CORRECTED = 1e12
_FUSED_DTYPES = {torch.float32, torch.float64, torch.float16, torch.bfloat16}


@contextlib.contextmanager
def fused_updates() -> Iterator[None]:
    """Let Keras' Adam, AdamW and SGD update by one operator in what this thread runs in the block."""
    with (
        patched(torch_adam.Adam, "_parallel_update_step", _adam_step),
        patched(torch_sgd.SGD, "_parallel_update_step", _sgd_step),
    ):
        yield


def _adam_step(original: Callable[..., None]) -> Callable[..., None]:
    def update(optimizer: Any, grads: Tensors, variables: list[Any], learning_rate: Any) -> None:
        indexes = [optimizer._get_variable_index(variable) for variable in variables]
        values = [variable.value for variable in variables]
        dtype = values[0].dtype
        step = ops.cast(optimizer.iterations + 1, dtype)
        corrections = [
            1 - ops.power(ops.cast(beta, dtype), step) for beta in (optimizer.beta_1, optimizer.beta_2)
        ]
        rate = ops.cast(learning_rate, dtype) * ops.sqrt(corrections[1]) / corrections[0]
        slots = [
            optimizer._momentums,
            optimizer._velocities,
            *([optimizer._velocity_hats] if optimizer.amsgrad else []),
        ]
        states = [[slot[index].value for index in indexes] for slot in slots]
        betas = float(optimizer.beta_1), float(optimizer.beta_2)
        largest = states[2] if optimizer.amsgrad else []
        torch.ops.unikeras.adam_(values, grads, *states[:2], largest, rate, *betas, optimizer.epsilon)

    return update


def _sgd_step(original: Callable[..., None]) -> Callable[..., None]:
    def update(optimizer: Any, grads: Tensors, variables: list[Any], learning_rate: Any) -> None:
        values = [variable.value for variable in variables]
        rate = ops.cast(learning_rate, values[0].dtype)
        momentums: Tensors = []
        if optimizer.momentum != 0:
            momentums = [optimizer.momentums[optimizer._get_variable_index(v)].value for v in variables]
        torch.ops.unikeras.sgd_(values, grads, momentums, rate, float(optimizer.momentum), optimizer.nesterov)

    return update


@torch.library.custom_op(
    "unikeras::adam_",
    mutates_args=("variables", "momentums", "velocities", "largest"),
    schema="(Tensor(a!)[] variables, Tensor[] grads, Tensor(b!)[] momentums, Tensor(c!)[] velocities, "
    "Tensor(d!)[] largest, Tensor rate, float beta_1, float beta_2, float epsilon) -> ()",
)
def _adam(
    variables: Tensors,
    grads: Tensors,
    momentums: Tensors,
    velocities: Tensors,
    largest: Tensors,
    rate: torch.Tensor,
    beta_1: float,
    beta_2: float,
    epsilon: float,
) -> None:
    options = rate, beta_1, beta_2, epsilon
    columns = [variables, grads, momentums, velocities, *([largest] if largest else [])]
    rows = list(zip(*columns, strict=True))
    fused = [row for row in rows if _is_fusible(*row)]
    single = [row for row in rows if not _is_fusible(*row)]
    for chosen, update in ((fused, _adam_in_one), (single, _adam_in_steps)):
        if chosen:
            update([list(column) for column in zip(*chosen, strict=True)], *options)


def _adam_in_one(columns: list[Tensors], rate: torch.Tensor, *numbers: float) -> None:
    variables, grads, momentums, velocities, *largest = columns
    grads = [_laid_out_as(grad, variable) for grad, variable in zip(grads, variables, strict=True)]
    step = torch.full((), _CORRECTED, dtype=torch.float32, device=rate.device)
    beta_1, beta_2, epsilon = numbers
    torch._fused_adam_(
        variables,
        grads,
        momentums,
        velocities,
        largest[0] if largest else [],
        [step] * len(grads),
        lr=rate.to(torch.float32) if rate.is_cuda else rate,
        beta1=beta_1,
        beta2=beta_2,
        weight_decay=0.0,
        eps=epsilon,
        amsgrad=bool(largest),
        maximize=False,
    )


def _adam_in_steps(
    columns: list[Tensors], rate: torch.Tensor, beta_1: float, beta_2: float, epsilon: float
) -> None:
    variables, grads, momentums, velocities, *largest = columns
    torch._foreach_mul_(momentums, beta_1)
    torch._foreach_add_(momentums, grads, alpha=1 - beta_1)
    torch._foreach_mul_(velocities, beta_2)
    torch._foreach_addcmul_(velocities, grads, grads, value=1 - beta_2)
    if largest:
        torch._foreach_maximum_(largest[0], velocities)
    roots = torch._foreach_sqrt(largest[0] if largest else velocities)
    torch._foreach_add_(roots, epsilon)
    steps = torch._foreach_mul(momentums, rate)
    torch._foreach_div_(steps, roots)
    torch._foreach_sub_(variables, steps)


@torch.library.custom_op(
    "unikeras::sgd_",
    mutates_args=("variables", "momentums"),
    schema="(Tensor(a!)[] variables, Tensor[] grads, Tensor(b!)[] momentums, Tensor rate, float momentum, "
    "bool nesterov) -> ()",
)
def _sgd(
    variables: Tensors,
    grads: Tensors,
    momentums: Tensors,
    rate: torch.Tensor,
    momentum: float,
    nesterov: bool,
) -> None:
    grads = [_laid_out_as(grad, variable) for grad, variable in zip(grads, variables, strict=True)]
    if not momentums:
        _subtract(variables, grads, rate)
        return
    torch._foreach_mul_(momentums, momentum)
    _subtract(momentums, grads, rate)
    if nesterov:
        _subtract(variables, grads, rate)
        torch._foreach_add_(variables, momentums, alpha=momentum)
    else:
        torch._foreach_add_(variables, momentums)


@_adam.register_fake
def _(*_: Any) -> None:
    return None


@_sgd.register_fake
def _(*_: Any) -> None:
    return None


def _subtract(tensors: Tensors, grads: Tensors, rate: torch.Tensor) -> None:
    """Subtract rate * gradient, without waiting for a device that has the rate."""
    if rate.device.type == "cpu":
        torch._foreach_add_(tensors, grads, alpha=-rate.item())
    else:
        torch._foreach_sub_(tensors, torch._foreach_mul(grads, rate))


# On a CPU torch's kernel starts all threads for a tensor of any size; below this, one is done before.
_WORTH_THREADS = 16384


def _is_fusible(variable: torch.Tensor, grad: torch.Tensor, *states: torch.Tensor) -> bool:
    """Say whether torch's kernel updates a variable, and is worth its start."""
    return (
        variable.dtype in _FUSED_DTYPES
        and (variable.is_cuda or (variable.device.type == "cpu" and variable.numel() >= _WORTH_THREADS))
        and all(
            tensor.is_contiguous() and tensor.dtype == variable.dtype and tensor.device == variable.device
            for tensor in (variable, *states)
        )
    )


def _laid_out_as(grad: torch.Tensor, variable: torch.Tensor) -> torch.Tensor:
    """Return a contiguous gradient of the variable's dtype.

    A convolution returns its kernel's gradient with the last axis first in memory. As a transposed matrix it is copied
    by blocks, several times as fast as by axes.
    """
    grad = grad.to(variable.dtype)
    if grad.ndim < 3 or grad.is_contiguous() or not grad.movedim(-1, 0).is_contiguous():
        return grad.contiguous()
    return grad.movedim(-1, 0).reshape(grad.shape[-1], -1).t().contiguous().view(grad.shape)
