"""torch's recurrent layers: by the backend's kernels for LSTM and GRU, and by a scan where these do not reach."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from keras import ops

from unikeras import backends
from unikeras.interop.operators._random_operators import drop
from unikeras.interop.operators._rules import register_operator

# (what comes from the input, what comes from the state, states) -> the new states; the first is the output.
Step = Callable[[Any, Any, list[Any]], list[Any]]


@register_operator("unikeras_program.lstm", seeded=True)
def lstm(x: Any, hx: Sequence[Any], params: Sequence[Any], *settings: Any, seed: Any) -> tuple[Any, ...]:
    return _run_layers("lstm", x, hx, params, *settings, seed=seed)


@register_operator("unikeras_program.gru", seeded=True)
def gru(x: Any, hx: Any, params: Sequence[Any], *settings: Any, seed: Any) -> tuple[Any, ...]:
    return _run_layers("gru", x, [hx], params, *settings, seed=seed)


@register_operator("unikeras_program.rnn_tanh", seeded=True)
def rnn_tanh(x: Any, hx: Any, params: Sequence[Any], *settings: Any, seed: Any) -> tuple[Any, ...]:
    return _run_layers("rnn_tanh", x, [hx], params, *settings, seed=seed)


@register_operator("unikeras_program.rnn_relu", seeded=True)
def rnn_relu(x: Any, hx: Any, params: Sequence[Any], *settings: Any, seed: Any) -> tuple[Any, ...]:
    return _run_layers("rnn_relu", x, [hx], params, *settings, seed=seed)


def _run_layers(
    kind: str,
    x: Any,
    hx: Sequence[Any],
    params: Sequence[Any],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
    *,
    seed: Any,
) -> tuple[Any, ...]:
    ways = 2 if bidirectional else 1
    size = len(params) // (num_layers * ways)
    x = x if batch_first else ops.swapaxes(x, 0, 1)
    finals = []
    for layer in range(num_layers):
        outputs = []
        for way in range(ways):
            number = layer * ways + way
            weights = params[number * size : (number + 1) * size]
            states = [state[number] for state in hx]
            y, last = _run(kind, ops.flip(x, 1) if way else x, states, weights, has_biases)
            outputs.append(ops.flip(y, 1) if way else y)
            finals.append(last)
        x = ops.concatenate(outputs, -1) if bidirectional else outputs[0]
        if train and layer < num_layers - 1:
            x = drop(x, dropout, seed)
    ends = (ops.stack(states) for states in zip(*finals, strict=True))
    return x if batch_first else ops.swapaxes(x, 0, 1), *ends


def _run(
    kind: str, x: Any, states: list[Any], weights: Sequence[Any], has_biases: bool
) -> tuple[Any, list[Any]]:
    """Run one layer in one direction over (batch, time, features)."""
    is_projected = len(weights) > (4 if has_biases else 2)
    if kind in _ARRANGED and not is_projected:
        arranged = _ARRANGED[kind](*weights)
        found = backends.current().recurrence(kind, x, states, None, arranged)
        if found is not None:
            return found
    from_input = ops.matmul(x, ops.transpose(weights[0]))
    if has_biases:
        from_input = from_input + weights[2]

    def step(states: list[Any], arriving: Any) -> tuple[list[Any], list[Any]]:
        from_state = ops.matmul(states[0], ops.transpose(weights[1]))
        from_state = from_state + weights[3] if has_biases else from_state
        new = _STEPS[kind](arriving, from_state, states)
        if is_projected:
            new[0] = ops.matmul(new[0], ops.transpose(weights[-1]))
        # TensorFlow takes as many results of a step as there are states.
        return new, new

    last, after = ops.scan(step, states, ops.swapaxes(from_input, 0, 1))
    return ops.swapaxes(after[0], 0, 1), list(last)


# ---- torch's weights as the kernels have them


def _lstm_weights(kernel: Any, recurrent: Any, *biases: Any) -> list[Any]:
    return [ops.transpose(kernel), ops.transpose(recurrent), *([biases[0] + biases[1]] if biases else [])]


def _gru_weights(kernel: Any, recurrent: Any, *biases: Any) -> list[Any]:
    products = [ops.transpose(_update_first(part)) for part in (kernel, recurrent)]
    return [*products, ops.stack([_update_first(bias) for bias in biases])] if biases else products


def _update_first(weight: Any) -> Any:
    """torch has reset, update, new; Keras update, reset, new."""
    reset, update, new = ops.split(weight, 3, 0)
    return ops.concatenate([update, reset, new], 0)


_ARRANGED: dict[str, Callable[..., list[Any]]] = {"lstm": _lstm_weights, "gru": _gru_weights}


# ---- steps


def _lstm_step(from_input: Any, from_state: Any, states: list[Any]) -> list[Any]:
    i, f, g, o = ops.split(from_input + from_state, 4, -1)
    c = ops.sigmoid(f) * states[1] + ops.sigmoid(i) * ops.tanh(g)
    return [ops.sigmoid(o) * ops.tanh(c), c]


def _gru_step(from_input: Any, from_state: Any, states: list[Any]) -> list[Any]:
    (rx, zx, nx), (rh, zh, nh) = ops.split(from_input, 3, -1), ops.split(from_state, 3, -1)
    z = ops.sigmoid(zx + zh)
    return [(1 - z) * ops.tanh(nx + ops.sigmoid(rx + rh) * nh) + z * states[0]]


def _plain_step(activation: Callable[[Any], Any]) -> Step:
    return lambda from_input, from_state, states: [activation(from_input + from_state)]


_STEPS: dict[str, Step] = {
    "lstm": _lstm_step,
    "gru": _gru_step,
    "rnn_tanh": _plain_step(ops.tanh),
    "rnn_relu": _plain_step(ops.relu),
}
