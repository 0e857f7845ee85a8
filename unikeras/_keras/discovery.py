"""The inputs and outputs that a Keras model declares: names, shapes, structure."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unikeras._specs.signature import TensorSpec, unique
from unikeras._specs.structure import take_apart
from unikeras.errors import ExportError, SignatureError


@dataclass(frozen=True)
class Declaration:
    """What a model declares of itself; read once, by `declaration_of`.

    Attributes:
        arguments: the structure of its positional arguments, with numbers of inputs for leaves.
        inputs: its inputs.
        tensors: the tensors that a graph begins with, in the order of the inputs; none for a subclassed model.
        results: the structure of what it returns, with numbers for leaves; None for a subclassed model.
        outputs: the names of a graph's outputs; none for a subclassed model.
        channels_first: whether it lays its images out as (batch, channels, height, width).
    """

    arguments: list[Any]
    inputs: list[TensorSpec]
    tensors: tuple[Any, ...]
    results: Any | None
    outputs: tuple[str, ...]
    channels_first: bool

    def name_outputs(self, results: Any, count: int) -> list[str]:
        """Return the model's own names for its outputs: dict keys, output layers, or `output_0` and on.

        Args:
            results: the structure of what a call returns, with numbers for leaves.
            count: how many outputs there are.
        """
        if isinstance(results, dict) and len(results) == count:
            return [str(key) for key in results]
        if len(self.outputs) == count:
            return list(self.outputs)
        return [f"output_{number}" for number in range(count)]


def declaration_of(model: Any) -> Declaration:
    """Return what a built `keras.Model` declares of itself.

    Raises:
        ExportError: a subclassed model was built without Keras recording its input shapes.
    """
    arguments, inputs = inputs_of(model)
    _, tensors = take_apart(getattr(graph_of(model), "_inputs_struct", []))
    declared = getattr(graph_of(model), "_outputs_struct", None)
    if declared is None:
        return Declaration(arguments, inputs, tuple(tensors), None, (), _has_channels_first(model))
    results, outputs = take_apart(declared)
    names = tuple(_names(declared, outputs))
    return Declaration(arguments, inputs, tuple(tensors), results, names, _has_channels_first(model))


def inputs_of(model: Any) -> tuple[list[Any], list[TensorSpec]]:
    """Return the structure of a model's positional arguments and the specs of its inputs.

    Args:
        model: a built `keras.Model`. Of a functional or sequential one the graph is read; of a subclassed one what it
            says in `declared_inputs`, or the shapes of its first call, with the batch taken to be dynamic.

    Raises:
        ExportError: a subclassed model was built without Keras recording its input shapes.
    """
    declared = getattr(graph_of(model), "_inputs_struct", None)
    if declared is not None:
        return _graph_inputs(model, declared)
    known: tuple[list[Any], list[TensorSpec]] | None = getattr(model, "declared_inputs", None)
    return _first_call_inputs(model) if known is None else known


def graph_of(model: Any) -> Any:
    """Return what holds the graph of a functional or sequential model; the model itself for others."""
    return getattr(model, "_functional", None) or model


def _graph_inputs(model: Any, declared: Any) -> tuple[list[Any], list[TensorSpec]]:
    structure, tensors = take_apart(declared)
    anonymous = _has_borrowed_batch(model)
    return [structure], [
        TensorSpec(name, _shape(tensor.shape, anonymous), str(tensor.dtype))
        for name, tensor in zip(_names(declared, tensors), tensors, strict=True)
    ]


def _has_borrowed_batch(model: Any) -> bool:
    """Say whether a Sequential without an Input took its batch size from the first data that it saw."""
    first = next(iter(getattr(model, "_layers", ())), None)
    made_with = getattr(getattr(first, "_auto_config", None), "config", {})
    # `keras.Input` passes a shape, a saved model says whether it is sparse; Sequential.build does neither.
    return bool(made_with.get("batch_shape")) and made_with.get("shape") is made_with.get("sparse") is None


def _shape(shape: Sequence[int | None], dynamic_batch: bool) -> tuple[int | None, ...]:
    return (None, *shape[1:]) if dynamic_batch and shape else tuple(shape)


def _names(declared: Any, tensors: Sequence[Any]) -> list[str]:
    if isinstance(declared, dict) and len(declared) == len(tensors):
        return [str(key) for key in declared]
    return unique(tensor._keras_history.operation.name for tensor in tensors)


def _first_call_inputs(model: Any) -> tuple[list[Any], list[TensorSpec]]:
    shapes = getattr(model, "_build_shapes_dict", None)
    if not shapes:
        raise ExportError(
            f"model {model.name!r} has no recorded input shapes; call it once on data, then export"
        )
    values = {name.removesuffix("_shape"): shape for name, shape in shapes.items()}
    if len(values) == 1:
        values = {_first_parameter(model): next(iter(values.values()))}
    arguments, leaves = take_apart(list(values.values()), _is_structure_of_shapes)
    names = unique(name for argument, value in values.items() for name in _leaf_names(argument, value))
    dtype = str(model.input_dtype)
    return arguments, [
        TensorSpec(name, _shape(shape, True), dtype) for name, shape in zip(names, leaves, strict=True)
    ]


def _first_parameter(model: Any) -> str:
    """Return the name of what `call` takes; Keras records the shape of its first argument alone."""
    parameters = inspect.signature(model.call).parameters.values()
    empty = inspect.Parameter.empty
    needed = [one.name for one in parameters if one.default is empty and one.kind is not one.VAR_POSITIONAL]
    if len(needed) > 1:
        raise ExportError(
            f"call() of model {model.name!r} takes several arguments ({', '.join(needed)}), and Keras "
            "records the shape of the first alone; take them as one dict or list, then export"
        )
    return next(one.name for one in parameters)


def _is_structure_of_shapes(value: Any) -> bool:
    if isinstance(value, dict):
        return True
    return isinstance(value, list | tuple) and not all(isinstance(size, int | None) for size in value)


def _leaf_names(argument: str, value: Any) -> list[str]:
    if not _is_structure_of_shapes(value):
        return [argument]
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    prefix = "" if isinstance(value, dict) else f"{argument}_"
    return [name for key, inner in pairs for name in _leaf_names(f"{prefix}{key}", inner)]


def override_specs(specs: Sequence[TensorSpec], wanted: Mapping[str, Any] | None) -> list[TensorSpec]:
    """Return the specs with shapes and dtypes replaced by those that a user asks for.

    Args:
        specs: the model's own.
        wanted: `keras.InputSpec` by input name; None in a shape stands for a dynamic axis.

    Raises:
        SignatureError: a name is not an input's, or a shape cannot be one of that input.
    """
    wanted = dict(wanted or {})
    names = [spec.name for spec in specs]
    if unknown := [str(name) for name in wanted if name not in names]:
        raise SignatureError(
            f"signature names {', '.join(unknown)}; the model's inputs are {', '.join(names)}"
        )
    return [_override(spec, wanted[spec.name]) if spec.name in wanted else spec for spec in specs]


def _override(spec: TensorSpec, wanted: Any) -> TensorSpec:
    if not hasattr(wanted, "shape") or not hasattr(wanted, "dtype"):
        raise SignatureError(f"signature[{spec.name!r}] has to be a keras.InputSpec; received {wanted!r}")
    shape = spec.shape if wanted.shape is None else tuple(wanted.shape)
    if len(shape or ()) != len(spec.shape or ()):
        raise SignatureError(f"signature[{spec.name!r}] has shape {shape}; the model takes {spec.shape}")
    return TensorSpec(spec.name, shape, str(wanted.dtype or spec.dtype))


def _has_channels_first(model: Any) -> bool:
    """Say whether a model lays its images out as (batch, channels, height, width)."""
    formats = {getattr(layer, "data_format", None) for layer in model._flatten_layers()}
    return "channels_first" in formats


def declared_results(model: Any) -> Any | None:
    """Return the structure of a graph's outputs, with numbers for leaves; None for a subclassed model.

    What a call returns has the same structure, with dict keys in an order that differs between backends.
    """
    declared = getattr(graph_of(model), "_outputs_struct", None)
    return None if declared is None else take_apart(declared)[0]
