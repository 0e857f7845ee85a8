"""Operators of our own, in torch's namespace `unikeras`: to a tracer and to Inductor, each is one opaque node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch


def operator(run: Callable[..., Any], tags: Sequence[torch.Tag] = ()) -> Any:
    """Register a function of tensors as `unikeras::<its name>`, which changes none of its arguments.

    `torch.library.custom_op` does the same with checks at each call, which cost as much as a small step of a network.

    Args:
        run: its annotations are the operator's schema; its results share no memory with its arguments or one another.
        tags: what else compilers must know of it.

    Returns:
        The operator.
    """
    name = f"unikeras::{run.__name__}"
    torch.library.define(
        name,
        torch.library.infer_schema(run, mutates_args=()),
        tags=[torch.Tag.pt2_compliant_tag, *tags],
    )
    torch.library.impl(name, "default", run)
    return getattr(torch.ops.unikeras, run.__name__).default
