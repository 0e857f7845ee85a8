"""A module that is afterwards what it was."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from unikeras._base.signals import interrupts_wait


@contextlib.contextmanager
def untouched(module: torch.nn.Module) -> Iterator[None]:
    """Put back every attribute of a module and of all inside it: modes, buffers, hooks, caches, replaced methods."""
    before = [
        (
            part,
            {name: dict(value) if isinstance(value, dict) else value for name, value in vars(part).items()},
        )
        for part in module.modules()
    ]
    kept = [(part, dict(vars(part))) for part, _ in before]
    try:
        yield
    finally:
        with interrupts_wait():
            for (part, copies), (_, own) in zip(before, kept, strict=True):
                vars(part).clear()
                vars(part).update(own)
                for name, copy in copies.items():
                    if isinstance(copy, dict) and own[name] != copy:
                        own[name].clear()
                        own[name].update(copy)
