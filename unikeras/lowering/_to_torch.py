"""The way from a Keras model to a module of torch."""

from __future__ import annotations

from typing import Any

from unikeras.errors import ArgumentValueError, CannotLower
from unikeras.lowering import _torch_weights as _weights
from unikeras.lowering._call_refusal import Refusal
from unikeras.lowering._graph_writer import GraphWriter, identifier
from unikeras.lowering._readable import readable

RECURRENCES = ("kernel", "scan")


def to_torch(model: Any, copy: bool = True, *, recurrence: str = "kernel") -> Any:
    """Return a Keras model as a pure `torch.nn.Module`, from any backend.

    It computes what `model(x, training=False)` computes, and holds no part of Keras: it can be traced,
    exported and pickled. Runs of convolutions keep their channels first, as torch likes them;
    inputs and outputs have the axes that the model's have.

    Args:
        model: a `keras.Sequential` or functional model, with its weights.
        copy: give the module memory of its own; False borrows the memory of the weights wherever numpy
            lends it writable and in the right dtype.
        recurrence: `"kernel"` takes `torch.nn.LSTM`, `GRU` and `RNN` where these compute what the layer
            does, and loops elsewhere. `"scan"` writes every recurrence with torch's scan operator, so that
            `torch.export` can keep the number of time steps open.

    Returns:
        A `torch.fx.GraphModule` in evaluation mode. Its `forward` takes one tensor for each of the model's
        inputs, in the order of `keras.tree.flatten(model.input)`, and returns one tensor, or a tuple in
        the order of `keras.tree.flatten(model.output)`. Its `code` can be read.

    Raises:
        CannotLower: parts of the model have no counterpart; the message names all of them, with reasons.
        ArgumentValueError: no such `recurrence`.

    Example:
        >>> import keras, torch
        >>> from unikeras import lowering
        >>> model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3), keras.layers.Flatten()])
        >>> lowering.to_torch(model)(torch.zeros(2, 8, 8, 3)).shape
        torch.Size([2, 144])
    """
    if recurrence not in RECURRENCES:
        raise ArgumentValueError(
            f"recurrence is {recurrence!r}; it can be {' or '.join(map(repr, RECURRENCES))}"
        )
    writer = GraphWriter(recurrence)
    try:
        inputs = [writer.input(tensor) for tensor in readable(model).inputs]
        outputs = writer.model(model, inputs)
    except Refusal as refusal:
        writer.reasons[identifier(model.name)] = f"{type(model).__name__} {refusal}"
    if writer.reasons:
        raise cannot_lower(model, writer.reasons)
    proxies = tuple(value.plain for value in outputs)
    module = writer.finish(proxies if len(proxies) > 1 else proxies[0], model.name)
    if copy:
        _weights.own_memory(module)
    return module.eval()


def cannot_lower(model: Any, reasons: dict[str, str]) -> CannotLower:
    """Return the error that names all parts of a model that cannot be lowered."""
    lines = [f"  {name}: {reason}" for name, reason in reasons.items()]
    return CannotLower(
        "\n".join([f"model {model.name!r} cannot be lowered to a torch module:", *lines]), reasons
    )
