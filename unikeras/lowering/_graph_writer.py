"""Write a Keras graph as a `torch.fx` graph: follow its nodes and let each class's rule write its part."""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import fx

from unikeras._keras.graph import is_graph, nodes
from unikeras.lowering import _masks
from unikeras.lowering import _torch_weights as _weights
from unikeras.lowering._call_refusal import Refusal
from unikeras.lowering._layer_call import Call
from unikeras.lowering._layouts import Layout, Value
from unikeras.lowering._readable import readable
from unikeras.lowering._rule_registry import find


class GraphWriter:
    """A graph in the making, with the modules and tensors that it holds.

    Args:
        recurrence: `"kernel"` or `"scan"`.
        trains: write what training needs too, with modules where torch has them.
        orders: for the id of a layer, the orders in which it takes and gives its features, as `Value.order`.
        reserved: names that no module of the root may have.

    Attributes:
        reasons: why layers could not be lowered, by their names.
    """

    def __init__(
        self,
        recurrence: str = "kernel",
        trains: bool = False,
        orders: Mapping[int, tuple[Any, Any]] | None = None,
        reserved: Sequence[str] = (),
    ) -> None:
        self.recurrence = recurrence
        self.trains = trains
        self.reasons: dict[str, str] = {}
        self._orders = orders or {}
        self._reserved = frozenset(reserved)
        self._folders: dict[str, str] = {}
        self._root = torch.nn.Module()
        self._graph = fx.Graph()
        self._tracer = fx.proxy.GraphAppendingTracer(self._graph)
        self._built: dict[Any, Any] = {}

    def orders(self, layer: Any) -> tuple[Any, Any]:
        """Return the orders in which a layer takes and gives its features; None is Keras'."""
        return self._orders.get(id(layer), (None, None))

    def input(self, tensor: Any, name: str = "", layout: Layout = Layout.PLAIN) -> Value:
        """Add an input of the module for a Keras tensor."""
        proxy = self._proxy("placeholder", name or identifier(tensor.name))
        return Value(proxy, layout, shape=tensor.shape, dtype=tensor.dtype)

    def finish(self, returned: Any, name: str) -> fx.GraphModule:
        """Return the module; it gives a tensor, or a tuple or dictionary of them."""
        self._graph.output(self._tracer.create_arg(returned))
        module = fx.GraphModule(self._root, self._graph, class_name=identifier(name))
        # Masks that nobody asks for are written all the same, and go here.
        module.graph.eliminate_dead_code()
        module.delete_all_unused_submodules()
        module.graph.lint()
        module.recompile()
        return module

    def model(self, model: Any, inputs: Sequence[Value], path: str = "") -> list[Value]:
        """Follow the nodes of a functional model, and return its outputs, flat."""
        graph = readable(model)
        known = {
            id(tensor): self._as_input(value, tensor)
            for tensor, value in zip(graph.inputs, inputs, strict=True)
        }
        for node in nodes(graph):
            if node.operation is None or node.is_input:
                continue
            args, kwargs = node.arguments.fill_in(known)
            name = f"{path}.{identifier(node.operation.name)}".strip(".")
            outputs = self.call(node.operation, args, kwargs, node.outputs, name)
            known.update(zip(map(id, node.outputs), outputs, strict=True))
        return [known[id(tensor)] for tensor in graph.outputs]

    def call(
        self, layer: Any, args: Sequence[Any], kwargs: dict[str, Any], outputs: Sequence[Any], path: str
    ) -> list[Value]:
        """Lower one call; where that is refused, note why and go on with values that stand for nothing."""
        try:
            return self._call(layer, args, dict(kwargs), outputs, path)
        except Refusal as refusal:
            self.reasons[path] = f"{type(layer).__name__} {refusal}"
            unknown = self._proxy("call_function", _unknown)
            return [Value(unknown, shape=tensor.shape, dtype=tensor.dtype) for tensor in outputs]

    def _call(
        self, layer: Any, args: Sequence[Any], kwargs: dict[str, Any], outputs: Sequence[Any], path: str
    ) -> list[Value]:
        from keras import layers, tree

        is_layer = isinstance(layer, layers.Layer)
        if is_graph(layer):
            return self._nested(layer, args, kwargs, path)
        rule = find(type(layer))
        if rule is None:
            raise Refusal("has no rule; unikeras.lowering.register says what stands for it")
        mask = None
        if is_layer:
            _check(layer, kwargs)
            args, kwargs = tree.map_structure(lambda leaf: self._cast_for(layer, leaf), (tuple(args), kwargs))
            kwargs = _masks.with_masks(layer, args, kwargs)
            mask = _masks.previous(args, kwargs)
            _masks.check_registered(layer, mask)
        written = rule(Call(self, layer, tuple(args), kwargs, list(outputs), path, mask))
        values = [_described(one, tensor) for one, tensor in zip(_flat(written), outputs, strict=True)]
        if is_layer:
            _masks.pass_on(layer, mask, values)
        return values

    def _nested(self, model: Any, args: Sequence[Any], kwargs: dict[str, Any], path: str) -> list[Value]:
        from keras import tree

        _check(model, kwargs)
        first = args[0] if args else next(iter(kwargs.values()))
        values = tree.flatten(first)
        masks = tree.flatten(kwargs.get("mask")) if kwargs.get("mask") is not None else []
        for value, mask in zip(values, masks, strict=False):
            value.mask = mask
        return self.model(model, values, path)

    def _as_input(self, value: Value, tensor: Any) -> Value:
        """Fit a value to an input of a model, as `Functional` does: its dtype, and one axis of size 1."""
        value = self.cast(value, tensor.dtype)
        if value.rank == len(tensor.shape):
            return value
        drop = value.rank == len(tensor.shape) + 1
        proxy = value.plain.squeeze(-1) if drop else value.plain.unsqueeze(-1)
        fitted = Value(proxy, shape=tensor.shape, dtype=tensor.dtype)
        fitted.mask = value.mask
        return fitted

    def _cast_for(self, layer: Any, leaf: Any) -> Any:
        """Cast what a layer is called with as `Layer.__call__` does; integers stay what they are."""
        if not isinstance(leaf, Value) or not layer._convert_input_args or not layer.autocast:
            return leaf
        return self.cast(leaf, layer.input_dtype) if "float" in leaf.dtype else leaf

    def cast(self, value: Value, dtype: str) -> Value:
        """Return a value in a dtype; the same one where it has that already."""
        if value.dtype == dtype:
            return value
        cast = value.map(lambda proxy: proxy.to(_weights.dtype(dtype)))
        cast.dtype, cast.mask = dtype, value.mask
        return cast

    def module(self, key: Any, path: str, layer: Any, build: Callable[[Any], Any]) -> Callable[..., Any]:
        """Return what `build` makes, as a function of proxies; a module is built and entered once."""
        if key not in self._built:
            built = build(layer)
            self._built[key] = self._enter(path, built) if isinstance(built, torch.nn.Module) else built
        target = self._built[key]
        if not isinstance(target, str):
            return target
        return lambda *args, **kwargs: self._proxy("call_module", target, args, kwargs)

    def shared(self, key: Any, path: str, make: Callable[[], Any]) -> Any:
        """Return a proxy of a tensor that is made and entered once."""
        if key not in self._built:
            self._built[key] = self._enter(path, make())
        return self._proxy("get_attr", self._built[key])

    def held(self, path: str, value: torch.Tensor) -> Any:
        """Return a proxy of a constant."""
        return self._proxy("get_attr", self._enter(path, value))

    def _enter(self, path: str, value: Any) -> str:
        *folders, name = path.split(".")
        parent, places = self._root, list[str]()
        for number, folder in enumerate(folders):
            key = ".".join(folders[: number + 1])
            if key not in self._folders:
                self._folders[key] = self._free(parent, folder)
                parent.add_module(self._folders[key], torch.nn.Module())
            places.append(self._folders[key])
            parent = getattr(parent, places[-1])
        free = self._free(parent, name)
        if isinstance(value, torch.nn.Module):
            parent.add_module(free, value)
        elif isinstance(value, torch.nn.Parameter):
            parent.register_parameter(free, value)
        else:
            parent.register_buffer(free, value)
        return ".".join([*places, free])

    def _free(self, parent: torch.nn.Module, name: str) -> str:
        """Return a name that a module does not have yet; those of its methods are taken, too."""
        free, number = name, 0
        while hasattr(parent, free) or (parent is self._root and free in self._reserved):
            number += 1
            free = f"{name}_{number}"
        return free

    def _proxy(self, kind: str, target: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self._tracer.create_proxy(kind, target, tuple(args), kwargs or {})


def identifier(name: str) -> str:
    """Return a name as Python takes it.

    Example:
        >>> identifier("block 1/conv"), identifier("2nd")
        ('block_1_conv', '_2nd')
    """
    name = re.sub(r"\W", "_", unicodedata.normalize("NFKC", name))
    # Python takes fewer characters than \w has, and gives two leading underscores in a class another meaning.
    name = name if f"_{name}".isidentifier() else re.sub(r"\W", "_", name, flags=re.ASCII)
    name = re.sub(r"^__+", "_", name)
    return name if name.isidentifier() and not keyword.iskeyword(name) else f"_{name}"


def _unknown() -> None:
    """Stand in the graph for what was refused; such a graph is never run."""


def _check(layer: Any, kwargs: dict[str, Any]) -> None:
    # What the graph was built with does not count: `model(x, training=False)` says it anew for every layer.
    kwargs.pop("training", None)
    if getattr(layer, "quantization_mode", None) is not None:
        raise Refusal(f"is quantized ({layer.quantization_mode})")


def _flat(written: Any) -> list[Any]:
    return list(written) if isinstance(written, tuple | list) else [written]


def _described(written: Any, tensor: Any) -> Value:
    value = written if isinstance(written, Value) else Value(written)
    value.shape, value.dtype = tuple(tensor.shape), tensor.dtype
    return value
