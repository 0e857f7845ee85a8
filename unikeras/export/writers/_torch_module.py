"""Models as torch modules of flat tensors, for torch's tracers."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from unikeras._keras.samples import example
from unikeras._specs.signature import Signature


class FlatModule(torch.nn.Module):
    """A function of flat tensors over a module, as `forward(input, ...)`.

    It returns a tensor where there is one output, and a tuple of them otherwise.

    Args:
        module: what holds the weights.
        compute: takes the module and the tensors, and returns a list of tensors.
    """

    def __init__(self, module: Any, compute: Callable[[Any, Sequence[Any]], list[Any]]) -> None:
        super().__init__()
        self.model = module
        self._compute = compute

    def forward(self, *tensors: Any) -> Any:
        """Run the module."""
        outputs = self._compute(self.model, tensors)
        return tuple(outputs) if len(outputs) > 1 else outputs[0]


def of_keras(model: Any, signature: Signature) -> Any:
    """Return a Keras model under the torch backend, in inference mode, as a module of flat tensors."""
    return FlatModule(model, signature.call)


def with_parameters(module: Any, names: Sequence[str]) -> Any:
    """Return the same module with a parameter of its own for each input.

    `torch.jit.trace` and `torch.export` take the names of inputs from there.
    """
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(name, kind) for name in ("self", *names)]

    def forward(self: Any, *tensors: Any) -> Any:
        return FlatModule.forward(self, *tensors)

    forward.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return type("Model", (FlatModule,), {"forward": forward})(module.model, module._compute)


def dynamic_shapes(signature: Signature, strictly: bool) -> tuple[dict[int, Any], ...]:
    """Return for each input which axes `torch.export` is to keep dynamic; all inputs share the batch.

    Args:
        signature: whose axes.
        strictly: have it raise where it takes another axis than the batch for a constant.
    """
    batch = torch.export.Dim("batch")
    free = torch.export.Dim.DYNAMIC if strictly else torch.export.Dim.AUTO
    return tuple({axis: free if axis else batch for axis in spec.dynamic} for spec in signature.inputs)


def example_tensors(signature: Signature) -> tuple[Any, ...]:
    """Return tensors to trace with, on the device that Keras puts tensors on."""
    import keras

    return tuple(keras.ops.convert_to_tensor(array) for array in example(signature))


@contextlib.contextmanager
def frozen(module: Any) -> Iterator[None]:
    """Trace without gradients, with dropout off for torch's own layers too, and put everything back."""
    modes = [(part, part.training) for part in module.modules()]
    wanted = [parameter for parameter in module.parameters() if parameter.requires_grad]
    try:
        module.eval()
        for parameter in wanted:
            parameter.requires_grad_(False)
        with torch.no_grad():
            yield
    finally:
        for part, mode in modes:
            part.training = mode
        for parameter in wanted:
            parameter.requires_grad_(True)
