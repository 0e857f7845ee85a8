"""The program of a module, for the calls that a layer has seen."""

from __future__ import annotations

from typing import Any

from unikeras._specs.structure import put_together, take_apart
from unikeras.interop._module_calls import SIZES, ModuleCalls


def import_called(module: Any, calls: ModuleCalls, dynamic: Any, verify: bool) -> Any:
    """Return a module as a Keras model, by an example of the calls that were seen.

    Args:
        module: a `torch.nn.Module`.
        calls: of the layer.
        dynamic: the dynamic axes; None: those of the calls.
        verify: whether the model is compared with the module.

    Raises:
        UnikerasError: the module cannot be imported.
    """
    from unikeras.interop._from_torch import from_torch

    failure: Exception | None = None
    for size in SIZES:
        arrays, axes = calls.example(size, dtype_of(module))
        try:
            return from_torch(
                module, _tensors(arrays, module), dynamic=axes if dynamic is None else dynamic, verify=verify
            )
        except Exception as error:  # of torch's exporter, whatever the module raises
            failure = failure or error
            if axes is None:
                break
    assert failure is not None
    raise failure


def _tensors(arrays: Any, module: Any) -> Any:
    from unikeras.lowering import tensors_of

    structure, leaves = take_apart(arrays)
    found = tensors_of({str(at): leaf for at, leaf in enumerate(leaves) if hasattr(leaf, "shape")})
    parameter = next(iter(module.parameters()), None)
    device = "cpu" if parameter is None else parameter.device
    tensors = [found[str(at)].to(device) if str(at) in found else leaf for at, leaf in enumerate(leaves)]
    nested = put_together(structure, tensors)
    return nested if isinstance(nested, dict) else tuple(nested)


def dtype_of(module: Any) -> str | None:
    """Return the dtype of a module's floating-point parameters, as Keras names it; None where it has none."""
    found = next((one.dtype for one in module.parameters() if one.is_floating_point()), None)
    return None if found is None else str(found).removeprefix("torch.")
