"""Operators that cannot have a rule, and why: what a user reads instead of a bare name."""

from __future__ import annotations

_ANY_SIZE = "the size of its result depends on values, and a compiled program has none of such a size"
_COMPLEX = "it computes complex numbers, which a program here does not hold; keras.ops.fft and rfft take pairs of reals"
_BACKWARD = "a program holds no backward pass; the backend derives it"
_MEMORY = (
    "it reads memory by strides, which tensors of Keras do not have; write it with reshape, unfold or slices"
)
_IN_PLACE = "it writes in place, and a program is made of operators that return new tensors"

_REASONS: dict[str, str] = {
    "aten._fft_c2c": _COMPLEX,
    "aten._fft_c2r": _COMPLEX,
    "aten._fft_r2c": _COMPLEX,
    "aten._native_batch_norm_legit.default": f"{_IN_PLACE}; _native_batch_norm_legit_functional has a rule",
    "aten._unique2": _ANY_SIZE,
    "aten.as_strided": _MEMORY,
    "aten.as_strided_scatter": _MEMORY,
    "aten.bincount": _ANY_SIZE,
    "aten.histc": "its bounds depend on values; use searchsorted with edges of your own",
    "aten.masked_select": _ANY_SIZE,
    "aten.mode": "Keras has no operation for the most frequent element",
    "aten.nonzero": _ANY_SIZE,
    "aten.repeat_interleave.Tensor": _ANY_SIZE,
    "aten.randperm": "Keras draws no permutation in a compiled program; draw it outside",
    "aten.resize_": _MEMORY,
    "aten.sym_is_contiguous": _MEMORY,
    "aten.sym_storage_offset": _MEMORY,
    "aten.sym_stride": _MEMORY,
    "aten.unique_consecutive": _ANY_SIZE,
    "aten.unique_dim": _ANY_SIZE,
    "aten.view.dtype": "it reads the bits of one dtype as another one",
    "aten.view_as_complex": _COMPLEX,
    "aten.view_as_real": _COMPLEX,
}


def reason(name: str) -> str | None:
    """Return why `"aten.nonzero.default"` has no rule, or None where nobody has said."""
    base = name.rpartition(".")[0]
    if found := _REASONS.get(name) or _REASONS.get(base):
        return found
    return _BACKWARD if base.endswith("_backward") else None


def refused() -> dict[str, str]:
    """Return the names that have a reason, and the reason of each."""
    return dict(_REASONS)
