"""uk.graph: find out what is to be drawn, and draw it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from unikeras import backends
from unikeras._specs.graph_nodes import Graph
from unikeras.drawing._drawing import Drawing
from unikeras.drawing._layer_graph import layer_graph
from unikeras.errors import ArgumentError, ArgumentValueError

STEPS = ("train", "test", "predict")


def graph(f_or_model: Any, *example: Any, step: str | None = None, **keywords: Any) -> Drawing:
    """Draw what the backend runs: a function's program, a model's layers or one of its steps, or recorded eager code.

    A function is traced for the example as `f.explain` does it: nothing is changed, and the model or the optimizer need
    not be built. What is drawn is a FuncGraph on TensorFlow, a graph of ATen operators on PyTorch and a jaxpr on JAX.

    Args:
        f_or_model: a `uk.function` or another function of tensors; a Keras model; or, on PyTorch, a tensor that
            autograd recorded.
        example: the arguments of a call. For a step of a model, one batch: `(x, y)` or `(x, y, sample_weight)`, or x
            for `"predict"`, each of shape (batch, ...). A model without a step needs x only where it has no graph of
            its own.
        step: of a model: `"train"`, `"test"` or `"predict"`; None draws its layers.
        keywords: further arguments of the function's call.

    Returns:
        A drawing with `.text`, `.svg`, `.html` and `.save(path)`; a notebook shows it.

    Raises:
        ArgumentError: it is neither a function nor a model, or a tensor that nothing recorded.
        ArgumentValueError: the step is not known, or the example is missing.
        TraceError: the function cannot be traced.

    Example:
        >>> import keras, unikeras as uk
        >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="dense")])
        >>> [node.name for node in uk.graph(model).graph.nodes if node.kind == "operation"]
        ['dense']
    """
    import keras

    if isinstance(f_or_model, keras.Model):
        if keywords:
            raise ArgumentError(f"uk.graph of a model takes step=, and not {', '.join(keywords)}")
        return _of_model(f_or_model, example, step)
    if step is not None:
        raise ArgumentError(f"step= is for a keras.Model; received {type(f_or_model).__qualname__}")
    if backends.current().is_tensor(f_or_model):
        return Drawing(_recorded(f_or_model), f"recorded on {backends.current().name}")
    if not callable(f_or_model):
        raise ArgumentError(
            f"uk.graph takes a function, a keras.Model or a recorded tensor; received {type(f_or_model).__qualname__}"
        )
    return _of_function(f_or_model, example, keywords)


def _of_function(f: Callable[..., Any], example: Any, keywords: Any) -> Drawing:
    from unikeras.functions import Function, program_graph

    function = f if isinstance(f, Function) else Function(f)
    name = getattr(f, "__name__", type(f).__name__)
    try:
        inspect.signature(f).bind(*example, **keywords)
    except TypeError as error:
        raise ArgumentValueError(
            f"uk.graph({name}, ...) takes the arguments of a call of {name} as an example: {error}"
        ) from None
    except ValueError:  # code that is not Python does not tell its parameters
        pass
    return Drawing(program_graph(function, example, keywords), f"{name} on {backends.current().name}")


def _of_model(model: Any, example: tuple[Any, ...], step: str | None) -> Drawing:
    if step is None:
        if len(example) > 1:
            raise ArgumentValueError(
                "the layers of a model are drawn for one example x; pass step='train' and one batch (x, y) for its "
                "train step"
            )
        return Drawing(layer_graph(model, *example), model.name)
    if step not in STEPS:
        raise ArgumentValueError(f"step={step!r} is not known; it may be {', '.join(map(repr, STEPS))}")
    if len(example) != 1:
        raise ArgumentValueError(
            f"uk.graph(model, batch, step={step!r}) takes one batch, (x, y) or x; received {len(example)} arguments"
        )
    return Drawing(
        _step_graph(model, example[0], step), f"{model.name}: {step} step on {backends.current().name}"
    )


def _step_graph(model: Any, batch: Any, step: str) -> Graph:
    from unikeras.functions import program_graph
    from unikeras.training import Model

    if step != "predict" and not model.compiled:
        raise ArgumentValueError(
            f"model {model.name!r} has no {step} step, because it is not compiled; call "
            "model.compile(optimizer, loss) first, or pass step='predict'"
        )
    if model.run_eagerly:
        raise ArgumentValueError(
            f"the steps of model {model.name!r} run as Python, and have no program; call model.compile without "
            "run_eagerly=True"
        )
    shared = Model.from_keras(model)
    getattr(shared, f"make_{step}_function")()
    function = getattr(shared, f"{step}_function").step
    return program_graph(function, (batch if isinstance(batch, tuple) else (batch,),), {})


def _recorded(tensor: Any) -> Graph:
    recorded = backends.current().recorded_graph(tensor)
    if recorded is None:
        name = backends.current().name
        raise ArgumentError(
            f"nothing on {name} recorded how this tensor was computed; pass the function that computes it and an "
            "example, uk.graph(f, x), or, on PyTorch, a tensor that depends on one with requires_grad=True"
        )
    return recorded
