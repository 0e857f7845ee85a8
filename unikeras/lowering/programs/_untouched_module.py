"""A module that is afterwards what it was."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from unikeras._base.signals import interrupts_wait


@contextlib.contextmanager
def untouched(module: torch.nn.Module) -> Iterator[None]:
    """Put back every attribute of a module and of all inside it: modes, buffers, hooks, caches, replaced methods."""
    # A module's dicts of parameters, buffers, modules and hooks stay the objects that they are: others refer to them.
    before = [
        (
            part,
            type(part),
            dict(vars(part)),
            [(d, dict(d)) for d in vars(part).values() if isinstance(d, dict)],
        )
        for part in module.modules()
    ]
    try:
        yield
    finally:
        with interrupts_wait():
            for part, kind, attributes, dicts in before:
                part.__class__ = kind
                vars(part).clear()
                vars(part).update(attributes)
                for own, items in dicts:
                    own.clear()
                    own.update(items)
