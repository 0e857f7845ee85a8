"""Functions with state on PyTorch: the state is in place already, so what is left is speed."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch


def compile_function(f: Callable[..., Any], jit_compile: bool | str) -> Callable[..., Any]:
    """Run `f` on tensors, through torch.compile where that is asked for.

    "auto" runs it eagerly: Keras' optimizers and metrics break torch.compile's graph at every
    variable, and the many small graphs cost more than they save.
    """
    run = torch.compile(f) if jit_compile is True else f

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        from keras import tree

        args, kwargs = tree.map_structure(_to_tensor, (args, kwargs))
        return run(*args, **kwargs)

    return call


def _to_tensor(value: Any) -> Any:
    if not isinstance(value, np.ndarray | np.generic):
        return value
    from keras import ops

    return ops.convert_to_tensor(value)
