"""Recurrent layers: several, in both directions, with and without biases, projected, time or batch first."""

from __future__ import annotations

from helpers.operator_cases import OperatorCase, numbers


def weights(gates, inputs, units, layers=1, ways=1, biases=True, projected=0):
    """Return torch's flat weights."""
    found = []
    for layer in range(layers):
        width = inputs if layer == 0 else (projected or units) * ways
        for way in range(ways):
            sizes = [(gates * units, width), (gates * units, projected or units)]
            sizes += [(gates * units,)] * 2 if biases else []
            sizes += [(projected, units)] if projected else []
            found += [
                numbers(*size, seed=10 * layer + way + k, low=-0.7, high=0.7) for k, size in enumerate(sizes)
            ]
    return found


def torch_layer(name):
    """Return torch's own operator behind a stand-in of ours."""

    def run(*args):
        import torch

        return getattr(torch.ops.aten, name).input(*args)

    return run


def case(kind, states, *args):
    name = f"unikeras_program.{kind}.default"
    return OperatorCase(name, (X if args[-1] else TIME_FIRST, states, *args), answer=torch_layer(kind))


X, TIME_FIRST = numbers(3, 5, 4), numbers(5, 3, 4)
H, C = numbers(1, 3, 6), numbers(1, 3, 6, seed=1)
DEEP_H, DEEP_C = numbers(4, 3, 6), numbers(4, 3, 6, seed=1)

CASES = {
    "lstm": case("lstm", [H, C], weights(4, 4, 6), True, 1, 0.0, False, False, True),
    "lstm_deep": case(
        "lstm", [DEEP_H, DEEP_C], weights(4, 4, 6, 2, 2, False), False, 2, 0.5, False, True, True
    ),
    "lstm_time_first": case(
        "lstm", [H, C], weights(4, 4, 6, biases=False), False, 1, 0.0, True, False, False
    ),
    "lstm_projected": case(
        "lstm",
        [numbers(4, 3, 2), DEEP_C],
        weights(4, 4, 6, 2, 2, projected=2),
        True,
        2,
        0.0,
        True,
        True,
        True,
    ),
    "gru": case("gru", H, weights(3, 4, 6), True, 1, 0.0, False, False, True),
    "gru_deep": case("gru", DEEP_H, weights(3, 4, 6, 2, 2, False), False, 2, 0.0, True, True, False),
    "rnn_tanh": case("rnn_tanh", DEEP_H, weights(1, 4, 6, 2, 2), True, 2, 0.0, False, True, True),
    "rnn_relu": case("rnn_relu", H, weights(1, 4, 6, biases=False), False, 1, 0.0, False, False, True),
}
