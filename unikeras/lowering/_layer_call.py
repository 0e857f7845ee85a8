"""One call of a layer or operation in a Keras graph: what a rule sees of it, and what it writes with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from unikeras.lowering import _torch_weights as _weights
from unikeras.lowering._call_refusal import Refusal
from unikeras.lowering._layouts import Value


class TargetGraph(Protocol):
    """The graph that a call is written into, as far as the call uses it."""

    recurrence: str
    trains: bool

    def orders(self, layer: Any) -> tuple[Any, Any]:
        """Return the orders in which a layer takes and gives its features."""

    def call(
        self, layer: Any, args: Sequence[Any], kwargs: dict[str, Any], outputs: Sequence[Any], path: str
    ) -> list[Value]:
        """Lower one call."""

    def module(self, key: Any, path: str, layer: Any, build: Callable[[Any], Any]) -> Callable[..., Any]:
        """Return what `build` makes, as a function of proxies; it is built once."""

    def shared(self, key: Any, path: str, make: Callable[[], Any]) -> Any:
        """Return a proxy of a tensor that is made and entered once."""

    def held(self, path: str, value: Any) -> Any:
        """Return a proxy of a constant."""


@dataclass
class Call:
    """A call, with values in the place of Keras' tensors.

    Attributes:
        graph: the graph that is being written.
        layer: the layer or operation.
        args: its positional arguments.
        kwargs: its keyword arguments, with the masks that Keras passes on by itself.
        outputs: the Keras tensors that it returns, flat.
        path: the name of the layer among the modules.
        previous_mask: what Keras hands to the layer's `compute_mask`.
    """

    graph: TargetGraph
    layer: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: list[Any]
    path: str
    previous_mask: Any = None

    @property
    def recurrence(self) -> str:
        """How recurrent layers are written: `"kernel"` or `"scan"`."""
        return self.graph.recurrence

    @property
    def trains(self) -> bool:
        """Whether the module is for training too, and for people to read."""
        return self.graph.trains

    @property
    def kept_order(self) -> Any:
        """The order of features of a layer that leaves each where it is."""
        given, order = self.graph.orders(self.layer)
        return order if given is None else given

    @property
    def x(self) -> Value:
        """The first argument, where that is one tensor."""
        return self.values[0]

    @property
    def values(self) -> list[Value]:
        """The first argument's tensors, flat; constants among them become values too."""
        from keras import tree

        first = self.args[0] if self.args else next(iter(self.kwargs.values()))
        return [self.value(leaf) for leaf in tree.flatten(first)]

    @property
    def tensors(self) -> list[Any]:
        """The positional arguments, with proxies in Keras' order of axes for tensors."""
        return [_plain(argument) for argument in self.args]

    @property
    def named_tensors(self) -> dict[str, Any]:
        """The keyword arguments, likewise; those that are None are left out."""
        return {name: _plain(value) for name, value in self.kwargs.items() if value is not None}

    def argument(self, position: int, name: str, default: Any = None) -> Any:
        """Return an argument that may have been passed either way."""
        return self.args[position] if position < len(self.args) else self.kwargs.get(name, default)

    def mask(self, name: str = "mask") -> Any:
        """Return a mask argument as a proxy of booleans, or None."""
        mask = self.kwargs.get(name)
        return None if mask is None else self.booleans(mask)

    def booleans(self, mask: Any) -> Any:
        """Return a mask as a proxy of booleans."""
        value = self.value(mask)
        return value.plain if self.trains and value.dtype == "bool" else value.plain.bool()

    def value(self, argument: Any) -> Value:
        """Return an argument as a value; what is not a tensor of the graph becomes a constant."""
        if isinstance(argument, Value):
            return argument
        array = _weights.tensor(argument)
        return Value(
            self.constant(array), shape=tuple(array.shape), dtype=str(array.dtype).removeprefix("torch.")
        )

    def constant(self, array: Any, name: str = "constant") -> Any:
        """Return a proxy of an array that the module holds as a buffer."""
        value = array if hasattr(array, "is_floating_point") else _weights.tensor(array)
        return self.graph.held(f"{self.path}.{name}", value)

    def weight(self, name: str, variable: Any, arrange: _weights.Arrange | None = None) -> Any:
        """Return a proxy of one of the layer's variables, or None where that is None."""
        if variable is None:
            return None
        key = (id(self.layer), name)
        return self.graph.shared(
            key, f"{self.path}.{name}", lambda: _weights.weight(self.layer, variable, arrange)
        )

    def module(self, build: Callable[[Any], Any], part: str = "") -> Callable[..., Any]:
        """Return the module that `build(layer)` gives, as a function of proxies.

        It is built at the layer's first call and shared by the others; a layer of several modules
        names each `part`.
        """
        return self.graph.module((id(self.layer), part), f"{self.path}.{part}".strip("."), self.layer, build)

    def delegate(self, layer: Any, args: Sequence[Any], outputs: Sequence[Any], **kwargs: Any) -> list[Value]:
        """Lower a call of a layer that this one wraps, and return its values."""
        return self.graph.call(layer, args, kwargs, outputs, f"{self.path}.{layer.name}")

    def refuse_unless(self, condition: Any, reason: str) -> None:
        """Refuse the layer with a reason where a condition does not hold."""
        if not condition:
            raise Refusal(reason)


def _plain(argument: Any) -> Any:
    from keras import tree

    return tree.map_structure(lambda leaf: leaf.plain if isinstance(leaf, Value) else leaf, argument)
