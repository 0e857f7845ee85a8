"""Gradients and activations of a model on a sample, computed anew beside the training, which they leave as it was."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from unikeras import backends
from unikeras._keras.layer_calls import Part, observed, parts_of
from unikeras._keras.trainer_parts import unpack_x_y_sample_weight
from unikeras.autodiff import GradientTape, no_grad


def gradients(model: Any, sample: Any) -> dict[str, Any]:
    """Return the gradient of a model's loss on a sample for each trainable variable, by the variable's path.

    Args:
        model: a compiled `keras.Model`.
        sample: `(x, y)` or `(x, y, sample_weight)`, arrays of shape (batch, ...).

    Returns:
        Native tensors of the variables' shapes; a variable that the loss does not depend on is left out.
    """
    x, y, sample_weight = unpack_x_y_sample_weight(sample)
    with _unchanged(model):
        with GradientTape() as tape:
            outputs = model(x, training=True)
            loss = model.compute_loss(x=x, y=y, y_pred=outputs, sample_weight=sample_weight)
        found = tape.gradient(loss, model.trainable_variables)
    pairs = zip(model.trainable_variables, found, strict=True)
    return {variable.path: gradient for variable, gradient in pairs if gradient is not None}


def activations(model: Any, sample: Any) -> dict[str, Any]:
    """Return what each layer of a model computes for a sample in inference, by the layer's path.

    Args:
        model: a built `keras.Model`.
        sample: x, or a tuple that begins with it, as in `gradients`.

    Returns:
        Native tensors; of a layer that is called several times, or has several outputs, the last.
    """
    import keras

    found: dict[str, Any] = {}

    def observe(part: Part, call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        result = call(*args, **kwargs)
        if part.is_layer and not part.parts:
            found.update((part.path, leaf) for leaf in keras.tree.flatten(result)[-1:])
        return result

    with _unchanged(model), no_grad(), observed(parts_of(model), observe):
        model(unpack_x_y_sample_weight(sample)[0], training=False)
    return found


@contextlib.contextmanager
def _unchanged(model: Any) -> Iterator[None]:
    """Put seeds, statistics, metrics and the memory of layers back at the end of the block."""
    backend = backends.current()
    generators = backend.generator_state()
    variables = {id(one): one for one in (*model.non_trainable_variables, *model.metrics_variables)}
    kept = [backend.snapshot(variable) for variable in variables.values()]
    try:
        yield
    finally:
        for value in kept:
            value.restore()
        backend.restore_generator_state(generators)
