"""What an artifact's own metadata says, held against what its runtime says: the runtime is right.

Metadata adds what a runtime does not know: the names of axes, the nested structure of a call, the order of inputs
where a runtime has none, and the memory. Where it contradicts the runtime the file is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from unikeras._specs.signature import Signature, TensorSpec, numpy_dtype
from unikeras.export.reference.artifact_state import ArtifactState

DTYPES = {
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "bfloat16", "float32", "float64", "complex64", "complex128", "string",
}  # fmt: skip
_LARGEST = 2**31


def reconcile_signature(data: Any, runtime: Signature, names: str) -> Signature:
    """Return the signature that metadata describes, where the runtime's agrees with it.

    Args:
        data: the metadata's part, of any kind.
        runtime: what the runtime says; without outputs where it does not know them.
        names: what the runtime calls the inputs, see `Artifact.names`.

    Raises:
        ValueError: it is not what `Signature.to_dict` returns, or contradicts the runtime.
    """
    signature = parse_signature(data)
    _check_inputs(signature, runtime, names)
    return replace(signature, outputs=_outputs(signature, runtime, names)) if runtime.outputs else signature


def reconcile_state(data: Any, signature: Signature) -> ArtifactState | None:
    """Return the memory that metadata describes, where it fits the signature; None where there is none.

    Raises:
        ValueError: it is not what `ArtifactState.to_dict` returns, or names tensors that do not exist.
    """
    if data is None:
        return None
    try:
        artifact_state = ArtifactState.from_dict(data)
        _check_state(artifact_state, signature)
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"its metadata describes a memory that cannot be: {error}") from error
    return artifact_state


def parse_signature(data: Any) -> Signature:
    """Return the signature that metadata describes.

    Raises:
        ValueError: it is not what `Signature.to_dict` returns.
    """
    try:
        signature = Signature.from_dict(data)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"its metadata describes no signature: {error!r:.200}") from error
    for spec in (*signature.inputs, *signature.outputs):
        _check_spec(spec)
    for side in (signature.inputs, signature.outputs):
        if len({spec.name for spec in side}) < len(side):
            raise ValueError("its metadata gives two tensors one name")
    _check(isinstance(signature.arguments, list), "arguments", signature.arguments)
    leaves = sorted(_leaves(signature.arguments))
    _check(leaves == list(range(len(signature.inputs))), "arguments", signature.arguments)
    if signature.outputs:
        results = list(_leaves(signature.results))
        _check(set(results) == set(range(len(signature.outputs))), "results", signature.results)
    for name in ("length", "stretch"):
        value = getattr(signature, name)
        _check(_is_size(value) and value > 0, name, value)
    return signature


def _check_spec(spec: TensorSpec) -> None:
    _check(isinstance(spec.name, str), "name", spec.name)
    _check(spec.dtype is None or (isinstance(spec.dtype, str) and spec.dtype in DTYPES), "dtype", spec.dtype)
    _check(
        spec.shape is None or all(size is None or _is_size(size) for size in spec.shape), "shape", spec.shape
    )
    free = sum(size is None for size in spec.shape or ())
    fits = len(spec.axes) in (0, free) and all(isinstance(axis, str) for axis in spec.axes)
    _check(fits, "axes", spec.axes)


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < _LARGEST


def _check(holds: bool, what: str, value: Any) -> None:
    if not holds:
        raise ValueError(f"its metadata has {value!r:.100} for {what}")


def _leaves(structure: Any) -> Iterator[int]:
    if isinstance(structure, dict | list):
        for inner in structure.values() if isinstance(structure, dict) else structure:
            yield from _leaves(inner)
    else:
        _check(type(structure) is int, "a number of a tensor", structure)
        yield structure


def _check_inputs(signature: Signature, runtime: Signature, names: str) -> None:
    _same_count("inputs", len(signature.inputs), len(runtime.inputs))
    if names == "identifiers":
        found = _by_name("inputs", signature.identifiers, runtime.inputs)
    else:
        found = list(runtime.inputs)
        if names == "own":
            _check_names("inputs", signature.input_names, runtime.input_names)
    for spec, other in zip(signature.inputs, found, strict=True):
        if spec.dtype is not None and other.dtype in DTYPES and spec.dtype != other.dtype:
            raise ValueError(
                f"its metadata says that {spec.name!r} is {spec.dtype}, its runtime {other.dtype}"
            )
        _check_shape(spec, other)


def _outputs(signature: Signature, runtime: Signature, names: str) -> tuple[TensorSpec, ...]:
    """Return the outputs with the dtypes that the runtime gives them."""
    _same_count("outputs", len(signature.outputs), len(runtime.outputs))
    if names == "identifiers":
        found = _by_name("outputs", signature.output_names, runtime.outputs)
    else:
        found = list(runtime.outputs)
        _check_names("outputs", signature.output_names, runtime.output_names)
    for spec, other in zip(signature.outputs, found, strict=True):
        _check_shape(spec, other)
    return tuple(
        replace(spec, dtype=other.dtype if other.dtype in DTYPES else spec.dtype)
        for spec, other in zip(signature.outputs, found, strict=True)
    )


def _by_name(side: str, ours: Sequence[str], specs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Return the runtime's tensors, which have no order, in that of the metadata."""
    known = {spec.name: spec for spec in specs}
    if set(known) != set(ours):
        raise ValueError(f"its metadata calls the {side} {_named(ours)}, its runtime {_named(known)}")
    return [known[name] for name in ours]


def _check_names(side: str, ours: Sequence[str], theirs: Sequence[str]) -> None:
    """Refuse names in another order than the runtime's, which adds a number to one that was taken."""
    for name, other in zip(ours, theirs, strict=True):
        if name != other and not (
            other not in ours and other.startswith(f"{name}_") and other[len(name) + 1 :].isdecimal()
        ):
            raise ValueError(f"its metadata calls the {side} {_named(ours)}, its runtime {_named(theirs)}")


def _same_count(side: str, ours: int, theirs: int) -> None:
    if ours != theirs:
        raise ValueError(f"its metadata has {ours} {side}, its runtime {theirs}")


def _named(names: Any) -> str:
    return ", ".join(f"{name!r:.80}" for name in list(names)[:20]) or "nothing"


def _check_shape(spec: TensorSpec, runtime: TensorSpec) -> None:
    if not spec.shape or not runtime.shape:  # a runtime calls an unknown rank ()
        return
    pairs = list(zip(spec.shape, runtime.shape, strict=False))
    if len(spec.shape) != len(runtime.shape) or any(
        ours != theirs for ours, theirs in pairs if None not in (ours, theirs)
    ):
        raise ValueError(
            f"its metadata says that {spec.name!r} is of shape {spec.shape}, its runtime {runtime.shape}"
        )


def _check_state(artifact_state: ArtifactState, signature: Signature) -> None:
    _check(isinstance(artifact_state.fingerprint, str), "a fingerprint", artifact_state.fingerprint)
    inputs = {spec.name: spec for spec in signature.inputs}
    outputs = set(signature.output_names)
    for state in artifact_state.states:
        _check(isinstance(state.layer, str) and isinstance(state.name, str), "a state", state.layer)
        _check_spec(TensorSpec(state.input_name, (None, *state.shape), state.dtype))
        spec = inputs.get(state.input_name)
        fits = spec is not None and state.output_name in outputs and spec.dtype in (None, state.dtype)
        _check(fits, "the state", state.input_name)
        _check_shape(TensorSpec(state.input_name, (None, *state.shape), state.dtype), spec or state)  # type: ignore[arg-type]
    own = [name for name in signature.output_names if name not in artifact_state.output_names]
    _check(
        len({*artifact_state.input_names}) == len(artifact_state.states),
        "the states",
        artifact_state.input_names,
    )
    _check(
        set(artifact_state.sequence_inputs) <= set(inputs) - {*artifact_state.input_names},
        "inputs over time",
        artifact_state.sequence_inputs,
    )
    flags = artifact_state.sequence_outputs
    _check(
        len(flags) == len(own) and all(isinstance(flag, bool) for flag in flags), "outputs over time", flags
    )
    _check(set(_leaves(artifact_state.results)) == set(range(len(own))), "results", artifact_state.results)
    _check_initial(artifact_state)


def _check_initial(artifact_state: ArtifactState) -> None:
    shapes = {spec.input_name: spec for spec in artifact_state.states}
    for name, values in artifact_state.initial.items():
        _check(name in shapes, "what a state begins with", name)
        try:
            array = np.asarray(values, numpy_dtype(shapes[name].dtype))
            np.broadcast_to(array, shapes[name].shape)
        except (ValueError, TypeError, OverflowError) as error:
            raise ValueError(f"its metadata says that {name!r} begins with {values!r:.80}") from error
