"""The tensors of a state_dict, grouped by the modules that they belong to."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from unikeras.errors import WeightsMismatch
from unikeras.interop._weight_links import Array

# What wrappers put before every name.
PREFIXES = ("module", "model", "_orig_mod", "backbone", "net", "network")
OWN = frozenset(("weight", "bias", "running_mean", "running_var", "num_batches_tracked", "gamma", "beta"))
ALIASES = {"gamma": "weight", "beta": "bias"}
RECURRENT = re.compile(r"(weight|bias)_(ih|hh|hr)(?:_l(\d+))?(_reverse)?")
ATTENTION = frozenset(("in_proj_weight", "in_proj_bias", "q_proj_weight", "k_proj_weight", "v_proj_weight"))
PARAMETRIZED = re.compile(r"(?:(.*)\.)?parametrizations\.(\w+)\.(.+)")
REFUSED = {
    "weight_hr": "has projections (proj_size), which Keras' recurrent layers do not have",
    "bias_k": "adds a bias to keys (add_bias_kv), which Keras' attention does not",
    "weight_u": "has spectral normalization; remove it with torch.nn.utils.remove_spectral_norm",
    "weight_orig": "has a parametrized weight; make it plain with torch.nn.utils.parametrize.remove_parametrizations",
}
# What separate projections of attention are called, in the order of Keras.
PROJECTION_NAMES = (
    ("query", "q", "q_proj", "query_proj", "to_q", "q_lin", "q_linear", "wq"),
    ("key", "k", "k_proj", "key_proj", "to_k", "k_lin", "k_linear", "wk"),
    ("value", "v", "v_proj", "value_proj", "to_v", "v_lin", "v_linear", "wv"),
)


@dataclass(eq=False)
class Group:
    """The tensors of one module.

    Attributes:
        path: the module's name, without what wrappers put before it.
        tensors: by their name in the module; `""` for a parameter that stands alone.
        keys: the names of each in the state_dict; two where two were folded into one.
        refusal: why its weights cannot be used; "" where they can.
    """

    path: str
    tensors: dict[str, Array] = field(default_factory=dict)
    keys: dict[str, tuple[str, ...]] = field(default_factory=dict)
    refusal: str = ""

    def __str__(self) -> str:
        named = ", ".join(f"{name} {array.shape}".strip() for name, array in self.tensors.items())
        return f"{self.path or '(the module itself)'}: {named}"

    @property
    def is_attention(self) -> bool:
        """Whether it is an `nn.MultiheadAttention`, or what fuses its projections in the same way."""
        return bool(ATTENTION & self.tensors.keys())


def groups_of(state: Mapping[str, Array]) -> list[Group]:
    """Return the modules of a state_dict, in its order.

    Args:
        state: arrays by name.

    Raises:
        WeightsMismatch: two names stand for the same tensor.
    """
    depth = _depth_of_prefix(list(state))
    groups: dict[str, Group] = {}
    doubled = []
    for key, array in state.items():
        name = ".".join(key.split(".")[depth:])
        path, local, refusal = _place_of(name)
        group = groups.setdefault(path, Group(path))
        if local in group.tensors:
            doubled.append(f"{group.keys[local][0]} and {key} are two candidates for {path}.{local}")
            continue
        group.tensors[local] = array
        group.keys[local] = (key,)
        group.refusal = group.refusal or refusal
    if doubled:
        raise WeightsMismatch(
            "\n".join(["the state_dict has names that stand for the same tensor:", *doubled])
        )
    for group in list(groups.values()):
        _fold(group)
    return _in_order(_merged(groups))


def keeps_order(keys: Sequence[str]) -> bool:
    """Say whether names come in an order of their own, and are not just sorted."""
    return list(keys) not in (sorted(keys), sorted(keys, key=natural))


def natural(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts names with their numbers by size.

    Example:
        >>> sorted(["layer.10", "layer.2"], key=natural)
        ['layer.2', 'layer.10']
    """
    return [(int(part or -1), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def projection_of(path: str) -> int | None:
    """Return 0, 1 or 2 for the name of a projection of queries, keys or values, of Keras or of torch; else None."""
    tail = re.split(r"[./]", path)[-1]
    return next((number for number, names in enumerate(PROJECTION_NAMES) if tail in names), None)


def _depth_of_prefix(keys: list[str]) -> int:
    """Return how many parts before each name are a wrapper's: all names have them, and they say nothing."""
    depth = 0
    while keys:
        first = {".".join(key.split(".")[depth : depth + 1]) for key in keys}
        if len(first) > 1 or not first <= set(PREFIXES) or any(key.count(".") <= depth + 1 for key in keys):
            break
        depth += 1
    return depth


def _place_of(name: str) -> tuple[str, str, str]:
    """Return the module of a tensor, its name there, and why it cannot be used."""
    found = PARAMETRIZED.fullmatch(name)
    if found:
        path, tensor, rest = found.groups()
        if rest in ("original0", "original1"):  # weight_norm's magnitude and direction
            return path or "", f"{tensor}_{'gv'[int(rest[-1])]}", ""
        return (
            path or "",
            f"{tensor}.{rest}",
            f"{tensor} is parametrized; {REFUSED['weight_orig'].partition('; ')[2]}",
        )
    path, _, local = name.rpartition(".")
    recurrent = RECURRENT.fullmatch(local)
    if recurrent:
        kind, side, layer, reverse = recurrent.groups()
        refusal = REFUSED["weight_hr"] if side == "hr" else ""
        own = f"{kind}_{side}{reverse or ''}"
        return (path if layer is None else f"{path}.l{layer}".lstrip(".")), own, refusal
    if local in OWN or local in ATTENTION or local in ("weight_g", "weight_v", *REFUSED):
        return path, local, REFUSED.get(local, "")
    return name, "", ""


def _fold(group: Group) -> None:
    """Make one tensor of the two of weight_norm, and rename what older models call otherwise."""
    if {"weight_g", "weight_v"} <= group.tensors.keys():
        size, direction = (group.tensors.pop(name) for name in ("weight_g", "weight_v"))
        # Without an axis of its own, the size is that of the whole.
        over = tuple(axis for axis in range(direction.ndim) if size.ndim == 0 or size.shape[axis] == 1)
        wide = direction.astype(np.promote_types(direction.dtype, np.float32))
        norm = np.sqrt(np.square(wide).sum(over, keepdims=True))
        group.tensors["weight"] = (wide * (size / norm)).astype(direction.dtype)
        group.keys["weight"] = group.keys.pop("weight_g") + group.keys.pop("weight_v")
    for old, new in ALIASES.items():
        if old in group.tensors and new not in group.tensors:
            group.tensors[new] = group.tensors.pop(old)
            group.keys[new] = group.keys.pop(old)


def _merged(groups: dict[str, Group]) -> list[Group]:
    """Return the groups with the output projections of attention in their modules."""
    for path in list(groups):
        group = groups.get(path)
        if group is None:  # absorbed
            continue
        parent, _, tail = path.rpartition(".")
        if group.is_attention:
            _absorb(groups, path, f"{path}.out_proj".lstrip("."))
        elif tail == "qkv" and f"{parent}.proj".lstrip(".") in groups:
            attention = Group(parent, refusal=group.refusal)
            for name in ("weight", "bias"):
                if name in group.tensors:
                    attention.tensors[f"in_proj_{name}"] = group.tensors[name]
                    attention.keys[f"in_proj_{name}"] = group.keys[name]
            groups[path] = attention
            _absorb(groups, path, f"{parent}.proj".lstrip("."))
    # One layer of a recurrent module needs no number.
    for path in [path for path in groups if re.search(r"(^|\.)l0$", path)]:
        base = path[:-2].rstrip(".")
        if f"{base}.l1".lstrip(".") not in groups and base not in groups:
            groups[path].path = base
    return list(groups.values())


def _absorb(groups: dict[str, Group], path: str, part: str) -> None:
    group, output = groups[path], groups.pop(part, None)
    if output is not None:
        for name, array in output.tensors.items():
            group.tensors[f"out_proj.{name}"] = array
            group.keys[f"out_proj.{name}"] = output.keys[name]


def _in_order(groups: list[Group]) -> list[Group]:
    """Return the groups with neighboring projections in the order query, key, value."""
    result: list[Group] = []
    waiting: list[tuple[int, Group]] = []
    for group in [*groups, Group("")]:
        parent = group.path.rpartition(".")[0]
        number = projection_of(group.path)
        if waiting and (number is None or waiting[0][1].path.rpartition(".")[0] != parent):
            result += [one for _, one in sorted(waiting, key=lambda pair: pair[0])]
            waiting = []
        if number is not None:
            waiting.append((number, group))
        else:
            result.append(group)
    return result[:-1]
