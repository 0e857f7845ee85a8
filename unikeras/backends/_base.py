"""The contract of a backend: what frameworks do differently and Keras does not unify.

Numerics go through `keras.ops`; what stands here is the rest. `README.md` in this folder tells the
contract in prose and how to add a backend; `tests/contract/` holds its laws.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


class Tape(ABC):
    """Records what a thread computes, so that it can be differentiated.

    The public `unikeras.GradientTape` takes nested structures apart, checks arguments and answers for
    misuse; an engine sees flat lists of native tensors and Keras variables, and each method once.
    """

    @abstractmethod
    def start(self) -> None:
        """Begin to record; trainable variables that are read from here on are watched."""

    @abstractmethod
    def stop(self) -> None:
        """End recording and put back all that `start` and `watch` changed in the user's objects."""

    @abstractmethod
    def watch(self, value: Any) -> None:
        """Record what is computed from a native floating or complex tensor, or from a Keras variable."""

    @abstractmethod
    def gradient(
        self, targets: Sequence[Any], sources: Sequence[Any], output_gradients: Sequence[Any]
    ) -> list[Any]:
        """Return d(sum of targets)/d(source) for each source, or None where nothing connects them.

        Args:
            targets: native tensors.
            sources: native tensors and Keras variables.
            output_gradients: one per target: a tensor of its shape, or None for ones.
        """

    @abstractmethod
    def release(self) -> None:
        """Free all that was recorded."""


class Backend(ABC):
    """One framework, behind the few things that Keras leaves to each framework."""

    name: str

    @abstractmethod
    def version(self) -> str:
        """Return the framework's version."""

    @abstractmethod
    def devices(self) -> list[str]:
        """Return the names of the devices that it can compute on, such as `"cpu:0"`."""

    @abstractmethod
    def is_tensor(self, value: Any) -> bool:
        """Say whether a value is a native tensor of this framework (a Keras variable is not)."""

    @abstractmethod
    def to_numpy(self, tensor: Any) -> np.ndarray[Any, Any]:
        """Return a native tensor's values as a numpy array, from whichever device it lies on."""

    @abstractmethod
    def synchronize(self, *values: Any) -> None:
        """Return once these tensors are computed, so that a clock read next tells the truth."""

    @abstractmethod
    def tape(self, persistent: bool, watch_accessed_variables: bool) -> Tape:
        """Return a new tape that has not started yet.

        Args:
            persistent: the tape will answer more than once.
            watch_accessed_variables: trainable variables are watched when they are read.
        """

    @abstractmethod
    def compile(self, f: Callable[..., Any], jit_compile: bool | str) -> Callable[..., Any]:
        """Return `f` compiled, with the Keras variables that it reads and writes as its state.

        Args:
            f: a function of nested structures; it runs again when shapes, dtypes, structures or
                Python values among its arguments change.
            jit_compile: True, False, or `"auto"` for what is fastest where it is supported.
        """
