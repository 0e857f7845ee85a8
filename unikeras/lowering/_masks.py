"""Masks as Keras passes them on: each tensor carries one, and `Layer.__call__` hands it over.

Source: `Layer.__call__`, steps 6 and 8, in keras/src/layers/layer.py.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from unikeras.lowering._call_refusal import Refusal
from unikeras.lowering._layouts import Value


def carried(structure: Any) -> Any:
    """Return the masks of a structure of values, in the same structure."""
    from keras import tree

    return tree.map_structure(lambda leaf: leaf.mask if isinstance(leaf, Value) else None, structure)


def with_masks(layer: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments with the masks that Keras adds to them."""
    parameters = inspect.signature(layer.call).parameters
    arguments = _bound(layer, args, kwargs)
    tensors = {name: value for name, value in arguments.items() if _is_tensors(value)}
    names = {"mask": next(iter(tensors))} if len(tensors) == 1 else {f"{name}_mask": name for name in tensors}
    added = {
        mask: carried(tensors[name])
        for mask, name in names.items()
        if mask in parameters and arguments.get(mask) is None
    }
    return {**kwargs, **added}


def previous(args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Return the mask that Keras hands to `compute_mask`."""
    if kwargs.get("mask") is not None:
        return kwargs["mask"]
    return carried(args[0] if args else next(iter(kwargs.values())))


def pass_on(layer: Any, mask: Any, outputs: Sequence[Value]) -> None:
    """Give a layer's outputs the mask that Keras gives them.

    A rule whose layer computes a mask of its own has set it already, or left it None on purpose.
    """
    import keras

    if not layer.supports_masking or not any(m is not None for m in keras.tree.flatten(mask)):
        return
    if getattr(type(layer).compute_mask, "_is_default", False):
        for value, one in zip(outputs, keras.tree.flatten(mask), strict=False):
            value.mask = one if value.mask is None else value.mask


def check_registered(layer: Any, mask: Any) -> None:
    """Refuse a user's layer that computes masks by itself, and is given one."""
    from keras import tree

    own = type(layer).__module__.startswith(("keras.", "unikeras."))
    if any(m is not None for m in tree.flatten(mask)) and not own:
        default = getattr(type(layer).compute_mask, "_is_default", False)
        if layer.supports_masking and not default:
            raise Refusal("computes masks by a compute_mask of its own, which is not lowered")


def _bound(layer: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    signature = inspect.signature(layer.call)
    known = {name: value for name, value in kwargs.items() if name in signature.parameters}
    return dict(signature.bind(*args, **known).arguments)


def _is_tensors(argument: Any) -> bool:
    from keras import tree

    leaves = tree.flatten(argument)
    return any(isinstance(leaf, Value) for leaf in leaves) and all(
        leaf is None or isinstance(leaf, Value) for leaf in leaves
    )
