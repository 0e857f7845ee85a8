"""The inputs of a trace: fake tensors, some of whose axes stand for any size; and for which sizes a graph is good."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from keras.src.backend.torch.core import get_device
from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv, StatelessSymbolicContext

from unikeras.backends.torch._native import TraceMode


class FixedSizeError(RuntimeError):
    """A function needs to know the size of an axis that was to be dynamic."""


class Inputs:
    """Fake tensors for a trace.

    Args:
        shapes: of the arguments; None for a dynamic axis.
        dtypes: of the arguments.
        sizes: the shapes of one call; needed where an axis is dynamic.

    Attributes:
        mode: makes fake tensors of what the function finds elsewhere.
        examples: one fake tensor for each argument.
    """

    def __init__(
        self,
        shapes: Sequence[tuple[int | None, ...]],
        dtypes: Sequence[Any],
        sizes: Sequence[tuple[int, ...]] | None,
    ) -> None:
        self._device = str(get_device()).partition(":")[0]
        self._sizes: Any = sizes or shapes
        self._env = ShapeEnv() if any(None in shape for shape in shapes) else None
        self.mode = TraceMode(allow_non_fake_inputs=True, shape_env=self._env)
        self.examples = [
            self._example(shape, dtype, size)
            for shape, dtype, size in zip(shapes, dtypes, self._sizes, strict=True)
        ]

    def _example(self, shape: tuple[int | None, ...], dtype: Any, size: Any) -> torch.Tensor:
        if None not in shape:
            with self.mode:
                return torch.empty(shape, dtype=dtype, device=self._device)
        if any(axis is None and number < 2 for axis, number in zip(shape, size, strict=True)):
            raise FixedSizeError("the tracer takes an axis of no or one element for one that never varies")
        dynamic = [DimDynamic.DYNAMIC if axis is None else DimDynamic.STATIC for axis in shape]
        context: Any = StatelessSymbolicContext(dynamic_sizes=dynamic)
        return self.mode.from_tensor(
            torch.empty(size, dtype=dtype, device=self._device), symbolic_context=context
        )

    def prepare(self, tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Return arguments as the graph takes them: where Keras computes, in rows, and none lazily conjugated."""
        return [self._prepared(tensor) for tensor in tensors]

    def _prepared(self, tensor: torch.Tensor) -> torch.Tensor:
        if tensor.device.type != self._device:
            tensor = tensor.to(self._device)
        if tensor.is_complex():
            tensor = tensor.resolve_conj().resolve_neg()
        return tensor.contiguous()

    def samples(self) -> list[torch.Tensor]:
        """Return tensors of the shapes and dtypes of the arguments; what they hold does not matter."""
        return [
            torch.zeros(shape, dtype=example.dtype, device=self._device)
            for shape, example in zip(self._sizes, self.examples, strict=True)
        ]

    def check_dynamic(self) -> None:
        """Raise if the function asked for the size of a dynamic axis.

        Raises:
            FixedSizeError: the graph is good for one size only.
        """
        for example in self.examples:
            for size in example.shape:
                if isinstance(size, torch.SymInt) and size.node.expr.is_number:
                    raise FixedSizeError(f"the function needs to know that an axis has the size {size}")

    def accept(self, shapes: Sequence[tuple[int, ...]]) -> bool:
        """Say whether the graph is good for arguments of these shapes."""
        if self._env is None:
            return True
        known: dict[Any, int] = {}
        for example, shape in zip(self.examples, shapes, strict=True):
            for size, actual in zip(example.shape, shape, strict=True):
                if isinstance(size, torch.SymInt):
                    if actual < 2:
                        return False
                    known[size.node._expr] = (
                        actual  # the symbol, also where it was found to equal another one
                    )
        # What is true becomes sympy's own true; where a symbol is left, nothing is known.
        return all(guard.expr.xreplace(known) == True for guard in self._env.guards)  # noqa: E712
