"""Keras' LSTM and GRU over the backend's fastest recurrence."""

from __future__ import annotations

from typing import Any

import keras
from keras import activations, ops, tree

from unikeras import backends
from unikeras.layers._operands import fit_operands

# What comes of a sequence: the last output, the outputs of all steps, and the final states.
Run = tuple[Any, Any, list[Any]]


@keras.saving.register_keras_serializable(package="unikeras")
class LSTM(keras.layers.LSTM):
    """`keras.layers.LSTM` over a fused kernel: the same arguments, weights and numbers.

    It takes the place of Keras' layer anywhere: in a Functional or Sequential model, in `Bidirectional`, in weight
    files. Where no kernel computes the same (other activations than tanh and sigmoid, `recurrent_dropout` in
    training, `unroll=True`, `use_cudnn=False`), it runs Keras' own loop.

    Args:
        args: those of `keras.layers.LSTM`.
        kwargs: those of `keras.layers.LSTM`.

    Returns:
        A layer from (batch, time, features) to (batch, units); to (batch, time, units) with `return_sequences`.

    Raises:
        ValueError: what `keras.layers.LSTM` raises it for.

    Example:
        >>> import keras, unikeras as uk
        >>> layer = uk.layers.LSTM(4, return_sequences=True)
        >>> tuple(layer(keras.ops.ones((2, 3, 5))).shape)
        (2, 3, 4)
    """

    def inner_loop(self, sequences: Any, initial_state: Any, mask: Any, training: bool = False) -> Run:
        """Run over the steps; see `keras.layers.LSTM`."""
        found = _run_kernel(self, "lstm", sequences, initial_state, mask, training)
        return found or super().inner_loop(sequences, initial_state, mask, training)


@keras.saving.register_keras_serializable(package="unikeras")
class GRU(keras.layers.GRU):
    """`keras.layers.GRU` over a fused kernel: the same arguments, weights and numbers.

    It takes the place of Keras' layer anywhere: in a Functional or Sequential model, in `Bidirectional`, in weight
    files. Where no kernel computes the same (`reset_after=False`, other activations than tanh and sigmoid,
    `recurrent_dropout` in training, `unroll=True`, `use_cudnn=False`), it runs Keras' own loop.

    Args:
        args: those of `keras.layers.GRU`.
        kwargs: those of `keras.layers.GRU`.

    Returns:
        A layer from (batch, time, features) to (batch, units); to (batch, time, units) with `return_sequences`.

    Raises:
        ValueError: what `keras.layers.GRU` raises it for.

    Example:
        >>> import keras, unikeras as uk
        >>> layer = uk.layers.GRU(4, return_sequences=True)
        >>> tuple(layer(keras.ops.ones((2, 3, 5))).shape)
        (2, 3, 4)
    """

    def inner_loop(self, sequences: Any, initial_state: Any, mask: Any, training: bool = False) -> Run:
        """Run over the steps; see `keras.layers.GRU`."""
        found = _run_kernel(self, "gru", sequences, initial_state, mask, training)
        return found or super().inner_loop(sequences, initial_state, mask, training)


def _run_kernel(
    layer: Any, name: str, sequences: Any, initial_state: Any, mask: Any, training: bool
) -> Run | None:
    """Run over the steps by the backend's kernel; None where none computes what the layer does."""
    mask = next(iter(tree.flatten(mask)), None)
    if not (_is_plain(layer, training) and _fits(sequences, mask)):
        return None
    cell = layer.cell
    x = ops.cast(sequences, cell.compute_dtype)
    if training and cell.dropout:
        x = x * ops.expand_dims(cell.get_dropout_mask(sequences[:, 0, :]), 1)
    mask = None if mask is None else ops.cast(mask, "bool")
    states = [ops.cast(state, cell.compute_dtype) for state in tree.flatten(initial_state)]
    states, mask = fit_operands(layer, x, states, mask)
    if layer.go_backwards:
        x, mask = ops.flip(x, 1), None if mask is None else ops.flip(mask, 1)
    if layer.stateful:
        # The states are variables, which are assigned to before a gradient is asked for.
        states = [ops.copy(state) for state in states]
    found = backends.current().recurrence(name, x, states, mask, _weights(cell))
    if found is None:
        return None
    outputs, last = found
    outputs = outputs if mask is None else _mask_outputs(outputs, mask, layer.zero_output_for_mask)
    return outputs[:, -1], outputs, last


def _is_plain(layer: Any, training: bool) -> bool:
    """Say whether the layer's steps are those that kernels know."""
    cell = layer.cell
    return (
        cell.activation is activations.tanh
        and cell.recurrent_activation is activations.sigmoid
        and layer.use_cudnn is not False
        and not layer.unroll
        and not (training and cell.recurrent_dropout)
        and not (
            training and cell.dropout and cell.implementation == 1
        )  # there each gate has a mask of its own
        and getattr(cell, "reset_after", True)
    )


# Keras' class -> ours: the same arguments, config and weights.
FUSED: dict[type, type] = {keras.layers.LSTM: LSTM, keras.layers.GRU: GRU}


def _fits(sequences: Any, mask: Any) -> bool:
    """Say whether there are steps to run, and a mask says one thing of each."""
    return 0 not in sequences.shape[:2] and (mask is None or len(mask.shape) == 2)


def _weights(cell: Any) -> list[Any]:
    variables = [cell.kernel, cell.recurrent_kernel, *([] if cell.bias is None else [cell.bias])]
    return [ops.cast(ops.convert_to_tensor(variable), cell.compute_dtype) for variable in variables]


def _mask_outputs(outputs: Any, mask: Any, zero: bool) -> Any:
    """Return the outputs, with what Keras returns at masked steps."""
    if zero:
        return ops.where(ops.expand_dims(mask, -1), outputs, ops.zeros_like(outputs))
    if backends.current().recurrence_begins_with_state:
        return outputs
    begun = ops.cumsum(ops.cast(mask, "int32"), 1) > 0
    return ops.where(ops.expand_dims(begun, -1), outputs, ops.zeros_like(outputs))
