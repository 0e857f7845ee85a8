"""What PyTorch itself computes with a module: the truth that an imported program is compared with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from unikeras._specs.structure import take_apart
from unikeras.lowering._module_state import arrays_of
from unikeras.lowering.programs._example_inputs import ExampleInputs
from unikeras.lowering.programs._plain_outputs import plain
from unikeras.lowering.programs._untouched_module import untouched

Array = np.ndarray[Any, Any]
# Where functions of torch take the probability with which they drop: by position, and by keyword.
_PROBABILITIES = {
    "dropout": (1, "p"),
    "alpha_dropout": (1, "p"),
    "feature_dropout": (1, "p"),
    "feature_alpha_dropout": (1, "p"),
    "native_dropout": (1, "p"),
    "scaled_dot_product_attention": (4, "dropout_p"),
    "lstm": (5, "dropout"),
    "gru": (5, "dropout"),
    "rnn_tanh": (5, "dropout"),
    "rnn_relu": (5, "dropout"),
}


@dataclass(frozen=True)
class ModuleAnswers:
    """What a module computes for one call. All names are those of a program's variables; tied ones stand once.

    Attributes:
        evaluated: the outputs in eval mode, flat; None, numbers and strings as they are.
        trained: the outputs in train mode, where dropout drops nothing.
        weights: by which each output counts in the loss; None for one without gradients. The loss is their sum of
            products with the outputs of train mode.
        gradients: of the loss, for each trainable parameter; zeros where the loss does not depend on it.
        buffers: after the first call in train mode.
        losses: before each step.
        parameters: the trainable parameters after the steps.
    """

    evaluated: list[Any]
    trained: list[Any]
    weights: list[Array | None]
    gradients: dict[str, Array]
    buffers: dict[str, Array]
    losses: list[float]
    parameters: dict[str, Array]


def module_answers(
    module: torch.nn.Module,
    inputs: Any,
    target_seed: int = 0,
    steps: int = 1,
    *,
    learning_rate: float = 1e-3,
    epsilon: float = 1e-8,
) -> ModuleAnswers:
    """Run a module on the CPU in both modes, and train a copy of its tensors with Adam.

    Dropout drops nothing in either mode; other random numbers are torch's.

    Args:
        module: the module, which is untouched afterwards.
        inputs: as `module_program` takes them; arrays work too.
        target_seed: the seed of the loss' weights.
        steps: how many steps of Adam.
        learning_rate: of Adam.
        epsilon: of Adam; Keras adds it elsewhere, so that only a tiny one compares.
    """
    args, kwargs = ExampleInputs.of_call(inputs).on(torch.device("cpu")).call_arguments()
    parameters = {name: _copy(value) for name, value in module.named_parameters()}
    buffers = {name: _copy(value) for name, value in module.named_buffers()}
    trainable = {name: value for name, value in parameters.items() if value.requires_grad}

    def call() -> list[Any]:
        return _call(module, {**parameters, **buffers}, args, kwargs)

    with untouched(module), _settled_buffers(buffers), torch.no_grad():
        module.eval()
        evaluated = _read(call())
    optimizer = torch.optim.Adam(trainable.values(), lr=learning_rate, eps=epsilon) if trainable else None
    losses, first = [], None
    with untouched(module), torch.enable_grad():
        module.train()
        for _ in range(max(steps, 1)):
            outputs = call()
            if first is None:
                weights = _weights(outputs, target_seed)
            loss = _loss(outputs, weights)
            gradients = _gradients(loss, trainable)
            if first is None:
                first = _read(outputs), _arrays(gradients), _arrays(buffers)
            losses.append(loss.item())
            if steps and optimizer:
                _apply(optimizer, trainable, gradients)
    assert first is not None
    trained, start, settled = first
    return ModuleAnswers(evaluated, trained, weights, start, settled, losses[:steps], _arrays(trainable))


class _DropNothing(TorchFunctionMode):
    """Calls torch's functions with a probability of 0 where they take one."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        args, kwargs = list(args), dict(kwargs or {})
        position, name = _PROBABILITIES.get(getattr(func, "__name__", "").rstrip("_"), (len(args), ""))
        if position < len(args):
            args[position] = 0.0
        elif name in kwargs:
            kwargs[name] = 0.0
        return func(*args, **kwargs)


def _call(module: Any, tensors: dict[str, torch.Tensor], args: Any, kwargs: Any) -> list[Any]:
    # A module may change what it is given.
    inputs = torch.utils._pytree.tree_map_only(torch.Tensor, torch.clone, (args, kwargs))
    with _DropNothing():
        outputs = torch.func.functional_call(module, tensors, *inputs)
    return take_apart(plain(outputs))[1]


@contextlib.contextmanager
def _settled_buffers(buffers: dict[str, torch.Tensor]) -> Iterator[None]:
    """Put back the values of buffers."""
    before = {name: value.clone() for name, value in buffers.items()}
    yield
    for name, value in before.items():
        buffers[name].copy_(value)


def _weights(outputs: list[Any], seed: int) -> list[Array | None]:
    random = np.random.default_rng(seed)
    return [
        (random.standard_normal(tuple(one.shape)) / max(one.numel(), 1) ** 0.5).astype("float32")
        if isinstance(one, torch.Tensor) and one.is_floating_point()
        else None
        for one in outputs
    ]


def _loss(outputs: list[Any], weights: list[Array | None]) -> torch.Tensor:
    terms = [
        (one * torch.as_tensor(weight, dtype=one.dtype)).sum().float()
        for one, weight in zip(outputs, weights, strict=True)
        if weight is not None
    ]
    return torch.stack(terms).sum() if terms else torch.zeros(())


def _gradients(loss: torch.Tensor, trainable: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    if not trainable or not loss.requires_grad:
        return {name: torch.zeros_like(value) for name, value in trainable.items()}
    found = torch.autograd.grad(loss, list(trainable.values()), allow_unused=True, materialize_grads=True)
    return dict(zip(trainable, found, strict=True))


def _apply(
    optimizer: torch.optim.Optimizer, trainable: dict[str, torch.Tensor], gradients: dict[str, torch.Tensor]
) -> None:
    for name, value in trainable.items():
        value.grad = gradients[name]
    optimizer.step()


def _copy(value: torch.Tensor) -> torch.Tensor:
    return value.detach().to("cpu", copy=True).requires_grad_(value.requires_grad)


def _read(outputs: list[Any]) -> list[Any]:
    tensors = {str(at): one for at, one in enumerate(outputs) if isinstance(one, torch.Tensor)}
    arrays = _arrays(tensors)
    return [arrays.get(str(at), one) for at, one in enumerate(outputs)]


def _arrays(tensors: dict[str, torch.Tensor]) -> dict[str, Array]:
    return {name: np.array(value) for name, value in arrays_of(tensors).items()}
