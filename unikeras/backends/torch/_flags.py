"""The requires_grad flags that tapes set on the user's tensors, and put back."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator

import torch

from unikeras.backends.torch._levels import below_transforms


class _Flags:
    """Each flag is put back when the last tape, of any thread, that watches the tensor lets go of it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders: dict[int, int] = {}

    def hold(self, tensor: torch.Tensor) -> bool:
        """Set the flag, and say whether `release` has to be called for it."""
        with self._lock:
            if tensor.requires_grad and id(tensor) not in self._holders:
                return False
            with below_transforms():
                tensor.requires_grad_(True)
            self._holders[id(tensor)] = self._holders.get(id(tensor), 0) + 1
            return True

    def holds(self, tensor: torch.Tensor) -> bool:
        """Say whether the flag is one that a tape has set."""
        return id(tensor) in self._holders

    @contextlib.contextmanager
    def held(self, tensors: Iterable[torch.Tensor]) -> Iterator[None]:
        """Set the flags for as long as the context lasts."""
        held = [tensor for tensor in tensors if tensor.is_leaf and self.hold(tensor)]
        try:
            yield
        finally:
            for tensor in held:
                self.release(tensor)

    def release(self, tensor: torch.Tensor) -> None:
        """Put the flag back, unless another tape holds it."""
        with self._lock:
            self._holders[id(tensor)] -= 1
            if not self._holders[id(tensor)]:
                del self._holders[id(tensor)]
                with below_transforms():
                    tensor.requires_grad_(False)


flags = _Flags()
