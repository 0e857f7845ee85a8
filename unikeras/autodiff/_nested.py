"""Nested structures of tensors: one rule for taking them apart, and one for pairing two of them.

`keras.tree` sorts a nested dictionary on one backend and leaves it in insertion order on another, and a caller's two
dictionaries rarely have one order. So a second structure is never flattened on its own: it is walked along the first
one, by key. None holds no tensor and stays where it is, as in JAX.
"""

from __future__ import annotations

import collections
import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

SEQUENCES = (list, tuple, collections.deque)
MAPPINGS = (dict, collections.OrderedDict, collections.defaultdict)


@dataclass(frozen=True)
class Node:
    """One container.

    Attributes:
        keys: of its children: those of a dictionary (sorted where they can be), or their numbers.
        children: what it holds, in the order of the keys.
        build: takes other children and returns a container of the same kind.
    """

    keys: Sequence[Any]
    children: Sequence[Any]
    build: Callable[[Sequence[Any]], Any]


def open_node(value: Any) -> Node | None:
    """Return a container's children, one level deep; None for a leaf."""
    kind = type(value)
    if kind in MAPPINGS:
        return _mapping(value)
    if kind in SEQUENCES or is_namedtuple(value):
        return Node(range(len(value)), list(value), lambda children: _sequence(value, children))
    return _open_registered(value)


def is_namedtuple(value: Any) -> bool:
    """Say whether a value is a named tuple."""
    return isinstance(value, tuple) and hasattr(value, "_fields")


def _mapping(value: Any) -> Node:
    keys = list(value)
    if not isinstance(value, collections.OrderedDict):
        with contextlib.suppress(TypeError):  # keys of several types have no order
            keys = sorted(keys)

    def build(children: Sequence[Any]) -> Any:
        by_key = dict(zip(keys, children, strict=True))
        items = [(key, by_key[key]) for key in value]
        if isinstance(value, collections.defaultdict):
            return collections.defaultdict(value.default_factory, items)
        return type(value)(items)

    return Node(keys, [value[key] for key in keys], build)


def _sequence(value: Any, children: Sequence[Any]) -> Any:
    if is_namedtuple(value):
        return type(value)(*children)
    if isinstance(value, collections.deque):
        return collections.deque(children, value.maxlen)
    return type(value)(children)


def _open_registered(value: Any) -> Node | None:
    """Open what somebody registered with `keras.tree`, such as the lists that Keras tracks."""
    from keras import tree

    if value is None or not tree.is_nested(value):
        return None

    def exchange(visit: Callable[[Any], Any]) -> Any:
        root = True

        def once(part: Any) -> Any:
            nonlocal root
            if root:
                root = False
                return None
            return visit(part)

        return tree.traverse(once, value)

    children: list[Any] = []

    def collect(part: Any) -> Any:
        children.append(part)
        return tree.MAP_TO_NONE

    exchange(collect)

    def build(others: Sequence[Any]) -> Any:
        remaining = iter(others)
        return exchange(lambda _: tree.MAP_TO_NONE if (other := next(remaining)) is None else other)

    return Node(range(len(children)), children, build)


def walk(structure: Any, name: str = "", none_is_leaf: bool = False) -> Iterator[tuple[str, Any]]:
    """Yield each leaf with the expression that reaches it, such as `primals[0]['kernel']`."""
    node = open_node(structure)
    if node is not None:
        for key, child in zip(node.keys, node.children, strict=True):
            yield from walk(child, f"{name}[{key!r}]", none_is_leaf)
    elif structure is not None or none_is_leaf:
        yield name, structure


def flatten(structure: Any, none_is_leaf: bool = False) -> list[Any]:
    """Return the leaves of a nested structure."""
    return [leaf for _, leaf in walk(structure, "", none_is_leaf)]


def pack(structure: Any, leaves: Sequence[Any], none_is_leaf: bool = False) -> Any:
    """Return a structure with other leaves, in the order in which `flatten` returns them."""
    remaining = iter(leaves)
    return transform(lambda _: next(remaining), structure, none_is_leaf)


def transform(f: Callable[[Any], Any], structure: Any, none_is_leaf: bool = False) -> Any:
    """Return a structure whose leaves went through a function."""
    node = open_node(structure)
    if node is not None:
        return node.build([transform(f, child, none_is_leaf) for child in node.children])
    return structure if structure is None and not none_is_leaf else f(structure)


@dataclass(frozen=True)
class Pair:
    """A leaf of a reference structure and what stands in its place in another one.

    Attributes:
        name: the expression that reaches the other leaf.
        leaf: the other one.
        wanted_name: the expression that reaches the leaf of the reference.
        wanted: the leaf of the reference.
    """

    name: str
    leaf: Any
    wanted_name: str
    wanted: Any


def pair(name: str, given: Any, wanted_name: str, wanted: Any) -> tuple[list[Pair], list[str]]:
    """Walk a structure along a reference one, by key.

    Lists and tuples count as the same kind of container, and so do the kinds of dictionaries.

    Returns:
        A pair for each leaf of the reference, in the order of `flatten`, and what does not match, in words. A pair's
        leaf is None where None was given.
    """
    pairs: list[Pair] = []
    problems: list[str] = []
    _pair(name, given, wanted_name, wanted, pairs, problems)
    return pairs, problems


def _pair(
    name: str, given: Any, wanted_name: str, wanted: Any, pairs: list[Pair], problems: list[str]
) -> None:
    node, other = open_node(wanted), open_node(given)
    if node is None or other is None:
        if node is not None or other is not None or (wanted is None and given is not None):
            problems.append(f"{name} is {_kind(given)} where {wanted_name} is {_kind(wanted)}")
        elif wanted is not None:
            pairs.append(Pair(name, given, wanted_name, wanted))
        return
    if difference := container_difference(name, given, wanted_name, wanted):
        problems.extend(difference)
        return
    children = dict(zip(other.keys, other.children, strict=True))
    for key, child in zip(node.keys, node.children, strict=True):
        _pair(f"{name}[{key!r}]", children[key], f"{wanted_name}[{key!r}]", child, pairs, problems)


def container_difference(name: str, given: Any, wanted_name: str, wanted: Any) -> list[str]:
    """Say why two containers cannot be paired, one line for each key."""
    if isinstance(given, dict) != isinstance(wanted, dict):
        return [f"{name} is {_kind(given)} where {wanted_name} is {_kind(wanted)}"]
    if isinstance(wanted, dict):
        missing = [f"{name}[{key!r}] is missing" for key in wanted if key not in given]
        return missing + [f"{name}[{key!r}] is not in {wanted_name}" for key in given if key not in wanted]
    if is_namedtuple(given) and is_namedtuple(wanted) and given._fields != wanted._fields:
        return [f"{name} has the fields {given._fields}, {wanted_name} has {wanted._fields}"]
    if len(given) != len(wanted):
        return [f"{name} has length {len(given)}, {wanted_name} has length {len(wanted)}"]
    return []


def _kind(value: Any) -> str:
    if value is None:
        return "None"
    kind = type(value).__name__
    return f"a {kind}" if open_node(value) is not None else f"one value ({kind})"
