"""What an artifact has to reproduce: the model as `predict` runs it, compiled where its backend compiles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from unikeras import backends
from unikeras._keras.samples import Array
from unikeras._specs.signature import TensorSpec

# Takes flat native tensors, returns a flat list of them.
Flat = Callable[[Sequence[Any]], list[Any]]

# From here on a difference between a call and `predict` is worth a remark.
NOTABLE = 1e-3


def as_predicted(f: Flat, specs: Sequence[TensorSpec], arrays: Sequence[Array], eager: bool) -> list[Array]:
    """Return what `predict` computes, as numpy arrays.

    A layer may compute something else in a compiled function than in a plain call: on TensorFlow, Resizing
    of uint8 images rounds only in the latter. What cannot be compiled runs as it is written.

    Args:
        f: the model as a function of flat tensors.
        specs: its inputs.
        arrays: a value for each of them.
        eager: run it as it is written in any case, as `run_eagerly=True` asks.
    """
    import keras

    backend = backends.current()
    tensors = [keras.ops.convert_to_tensor(array) for array in arrays]
    with backend.no_grad():
        run = f if eager else _compiled(f, specs, tensors)
        return list(map(backend.to_numpy, run(tensors)))


def _compiled(f: Flat, specs: Sequence[TensorSpec], tensors: Sequence[Any]) -> Flat:
    backend = backends.current()
    # As Keras compiles it: for any batch size where one program may serve them all.
    shapes = [
        (None, *tensor.shape[1:])
        if backend.dynamic_axes and spec.shape and spec.shape[0] is None
        else tensor.shape
        for spec, tensor in zip(specs, tensors, strict=True)
    ]
    try:
        return backend.compile(f, shapes, [tensor.dtype for tensor in tensors], "auto").run
    except Exception:  # a model's call may refuse to be traced in any way
        return f


def remark_on_eager(f: Flat, arrays: Sequence[Array], predicted: Sequence[Array]) -> str:
    """Return what a report says where a plain call computes something else than `predict`; "" where it does not.

    Args:
        f: the model as a function of flat tensors.
        arrays: its inputs.
        predicted: what `predict` makes of them.
    """
    import keras

    backend = backends.current()
    with backend.no_grad():
        called = [backend.to_numpy(one) for one in f([keras.ops.convert_to_tensor(one) for one in arrays])]
    gaps = [_gap(one, other) for one, other in zip(called, predicted, strict=True)]
    if max(gaps, default=0.0) <= NOTABLE:
        return ""
    return (
        f"verified against model.predict(x), from which a plain model(x) differs by {max(gaps):.2g}: "
        "a layer computes something else when it is compiled"
    )


def _gap(called: Array, predicted: Array) -> float:
    if called.dtype.kind not in "biuf" or called.shape != predicted.shape:
        return 0.0
    with np.errstate(invalid="ignore"):
        gap = np.abs(called.astype("float64") - predicted) / (1 + np.abs(called.astype("float64")))
    return float(np.nan_to_num(gap, nan=0.0, posinf=0.0).max(initial=0.0))
