"""Records of a model's run: each call of a layer with its arguments and outputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from unikeras import backends
from unikeras._keras.graph import mask_of
from unikeras._keras.layer_calls import Part
from unikeras._keras.variables import is_differentiable
from unikeras.compare._gaps import Array
from unikeras.compare._side_records import LayerCall, Sent

_PLAIN = (type(None), bool, int, float, str)


@dataclass(frozen=True)
class _Held:
    """An argument and its mask. Not a tuple, which would be a part of the arguments' structure."""

    leaf: Any
    mask: Any


class _CannotTravel(Exception):
    """An argument is neither a tensor nor plain."""


class CallRecorder:
    """Makes the calls of a model's parts and notes them; `finish` returns the notes.

    Args:
        training: whether the run trains. Then layers that draw random numbers run as in inference.
        see: called with each output tensor, such as a tape's `watch`.
    """

    def __init__(self, training: bool, see: Callable[[Any], None] | None = None) -> None:
        self._training = training
        self._see = see
        self._backend = backends.current()
        self._open: list[list[bool]] = []
        self._counts: Counter[str] = Counter()
        self._found: list[tuple[Part, int, Any, list[Any], bool]] = []
        # Tensors are kept, so that no other one gets the id of one that is gone.
        self._arrays: dict[int, tuple[Any, Array]] = {}

    def __call__(
        self, part: Part, call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        import keras

        given = self._hold(args, kwargs)
        self._open.append([])
        try:
            result = call(*args, **self._settled(part, kwargs))
        finally:
            inner = self._open.pop()
        if self._open:
            self._open[-1].append(True)
        outputs = [one for one in keras.tree.flatten(result) if one is not None]
        if part.path and all(self._is_concrete(one) for one in outputs):
            number = self._counts[part.path]
            self._counts[part.path] += 1
            self._found.append((part, number, given, outputs, not inner))
            if self._see is not None:
                for output in filter(is_differentiable, outputs):
                    self._see(output)
        return result

    def finish(self) -> tuple[list[LayerCall], list[list[Any]]]:
        """Return the calls in the order in which they finished, and the output tensors of each."""
        calls = [
            LayerCall(
                part.path, number, part.kind, self._travelling(given), list(map(self._array, outputs)), leaf
            )
            for part, number, given, outputs, leaf in self._found
        ]
        return calls, [outputs for *_, outputs, _ in self._found]

    def _settled(self, part: Part, kwargs: dict[str, Any]) -> dict[str, Any]:
        if self._training and part.draws and part.takes_training:
            return {**kwargs, "training": False}
        return kwargs

    def _is_concrete(self, value: Any) -> bool:
        return self._backend.is_tensor(value) and not self._backend.is_symbolic(value)

    def _hold(self, args: Any, kwargs: Any) -> Any:
        """Return the arguments with the masks that they carry now; Keras may set others later."""
        import keras

        kwargs = {name: value for name, value in kwargs.items() if name != "training"}
        return keras.tree.map_structure(
            lambda leaf: _Held(leaf, mask_of(leaf) if self._backend.is_tensor(leaf) else None), (args, kwargs)
        )

    def _travelling(self, held: Any) -> Any:
        """Return arguments that travel, or None where one of them is neither a tensor nor plain."""
        import keras

        try:
            return keras.tree.map_structure(self._sent, held)
        except _CannotTravel:
            return None

    def _sent(self, held: _Held) -> Any:
        if self._is_concrete(held.leaf):
            return Sent(self._array(held.leaf), None if held.mask is None else self._array(held.mask))
        if isinstance(held.leaf, _PLAIN):
            return held.leaf
        raise _CannotTravel

    def _array(self, tensor: Any) -> Array:
        if id(tensor) not in self._arrays:
            self._arrays[id(tensor)] = tensor, np.array(self._backend.to_numpy(tensor))
        return self._arrays[id(tensor)][1]
