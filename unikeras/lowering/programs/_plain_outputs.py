"""What a module returns, in dicts and lists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any


def plain(value: Any) -> Any:
    """Return nested outputs as dicts and lists; of a class' fields, those that are None are left out."""
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    if is_dataclass(value):
        named = {field.name: getattr(value, field.name) for field in fields(value)}
        return {name: plain(inner) for name, inner in named.items() if inner is not None}
    return [plain(inner) for inner in value] if isinstance(value, (list, tuple)) else value
