"""A Keras model under the torch backend as a module of flat tensors, for torch's tracers."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from typing import Any

import torch

from unikeras.export._samples import example
from unikeras.export._signature import Signature


class FlatModule(torch.nn.Module):
    """The model as `forward(input, ...)`, with the signature's inputs as parameters.

    It returns a tensor where the model has one output, and a tuple of them otherwise.
    """

    def __init__(self, model: Any, signature: Signature) -> None:
        super().__init__()
        self.model = model
        self._signature = signature

    def forward(self, *tensors: Any) -> Any:
        """Run the model in inference mode."""
        outputs = self._signature.call(self.model, tensors)
        return tuple(outputs) if len(outputs) > 1 else outputs[0]


def flat_module(model: Any, signature: Signature) -> Any:
    """Return a `FlatModule` whose `forward` has a parameter of its own for each input.

    `torch.jit.trace` takes the names of a traced function's parameters from there.
    """
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(name, kind) for name in ("self", *signature.identifiers)]

    def forward(self: Any, *tensors: Any) -> Any:
        return FlatModule.forward(self, *tensors)

    forward.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return type("Model", (FlatModule,), {"forward": forward})(model, signature)


def dynamic_shapes(signature: Signature) -> tuple[dict[int, Any], ...]:
    """Return for each input which axes `torch.export` is to keep free; all inputs share the batch."""
    batch, free = torch.export.Dim("batch"), torch.export.Dim.DYNAMIC
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
