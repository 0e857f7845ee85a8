"""A module of PyTorch, run once on numpy arrays, with what each of its leaves returned."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unikeras._base.optional import is_installed
from unikeras._specs.structure import take_apart

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class ModuleCall:
    """What a leaf of a module returned.

    Attributes:
        path: its name in the module, such as `"encoder.0"`.
        kind: the name of its class.
        outputs: flat.
        is_activation: whether it is one of torch's activation functions.
    """

    path: str
    kind: str
    outputs: list[Array]
    is_activation: bool


def is_torch_module(value: Any) -> bool:
    """Say whether a value is a `torch.nn.Module`; imports torch where it is installed."""
    if not is_installed("torch"):
        return False
    import torch

    return isinstance(value, torch.nn.Module)


def run_module(module: Any, inputs: Sequence[Array]) -> tuple[list[Array], list[ModuleCall]]:
    """Run a module in inference mode and return its outputs, flat, and its leaves' in the order of their calls.

    Args:
        module: a `torch.nn.Module`; its mode is afterwards what it was.
        inputs: its positional arguments.

    Raises:
        Exception: whatever the module raises.
    """
    import torch

    parameter = next(module.parameters(), None)
    device = torch.device("cpu") if parameter is None else parameter.device
    tensors = [torch.from_numpy(np.array(value)).to(device) for value in inputs]
    calls: list[ModuleCall] = []
    with _recording(module, calls), torch.no_grad():
        result = module(*tensors)
    return _arrays(result), calls


@contextlib.contextmanager
def _recording(module: Any, calls: list[ModuleCall]) -> Iterator[None]:
    from torch.nn.modules import activation

    modes = [(part, part.training) for part in module.modules()]
    handles = []
    for path, part in module.named_modules():
        if not list(part.children()) and path:
            is_activation = type(part).__module__ == activation.__name__

            def note(part: Any, _: Any, result: Any, path: str = path, known: bool = is_activation) -> None:
                calls.append(ModuleCall(path, type(part).__name__, _arrays(result), known))

            handles.append(part.register_forward_hook(note))
    module.eval()
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        for part, mode in modes:
            part.training = mode


def _arrays(result: Any) -> list[Array]:
    import torch

    _, leaves = take_apart(result)
    # Copies: an activation in place would overwrite what the leaf before it returned.
    return [leaf.detach().cpu().float().numpy().copy() for leaf in leaves if isinstance(leaf, torch.Tensor)]
