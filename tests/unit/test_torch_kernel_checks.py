"""PyTorch's kernels compare no batch sizes: what reaches them is checked, in layers, lowered modules and traces."""

from __future__ import annotations

import keras
import pytest

torch = pytest.importorskip("torch")
if keras.backend.backend() != "torch":
    pytest.skip("of the torch backend", allow_module_level=True)

from torch import nn  # noqa: E402 - where there is torch

from unikeras.backends.torch import kernels  # noqa: E402
from unikeras.errors import ArgumentValueError  # noqa: E402
from unikeras.lowering.modules.recurrent_cells import Recurrence, SteppedRecurrence  # noqa: E402

X, MASK = torch.ones(2, 5, 3), torch.ones(2, 5, dtype=torch.bool)


def weights(gates):
    bias = torch.zeros(4 * 4) if gates == 4 else torch.zeros(2, 3 * 4)
    return [torch.ones(3, gates * 4), torch.ones(4, gates * 4), bias]


@pytest.mark.parametrize("mask", [None, MASK], ids=["plain", "masked"])
@pytest.mark.parametrize(("cell", "count", "gates"), [("lstm", 2, 4), ("gru", 1, 3)])
def test_the_kernel_takes_nothing_of_another_shape_or_dtype(cell, count, gates, mask):
    def run(x=X, state=(2, 4), dtype=torch.float32, mask=mask, states=count, given=None):
        made = [torch.zeros(state, dtype=dtype)] * states
        return kernels.by_kernel(cell, x, made, mask, given or weights(gates))

    assert run()[0].shape == (2, 5, 4)
    for state in [(1, 4), (3, 4), (2, 5), (4,), (1, 2, 4)]:
        with pytest.raises(ArgumentValueError, match=r"state h is .*allowed is \(2, 4\)"):
            run(state=state)
    with pytest.raises(ArgumentValueError, match="float64"):
        run(dtype=torch.float64)
    with pytest.raises(ArgumentValueError, match=f"{count + 1} states"):
        run(states=count + 1)
    with pytest.raises(ArgumentValueError, match=r"x is \(2, 5, 3\).*allowed is \(2, 5, 2\)"):
        run(given=[torch.ones(2, gates * 4), *weights(gates)[1:]])
    with pytest.raises(ArgumentValueError, match="bias is"):
        run(given=[*weights(gates)[:2], torch.zeros(7)])
    with pytest.raises(ArgumentValueError, match=r"mask is \(2, 4\)"):
        run(mask=MASK[:, :4])
    with pytest.raises(ArgumentValueError, match="mask is"):
        run(mask=torch.ones(2, 5))


def modules():
    lstm, gru = nn.LSTM(3, 4, batch_first=True), nn.GRU(3, 4, batch_first=True)
    return {
        "lstm": (Recurrence(lstm), 2),
        "gru": (Recurrence(gru, backwards=True), 1),
        "rnn": (Recurrence(nn.RNN(3, 4, batch_first=True)), 1),
        "stepped": (SteppedRecurrence(lstm, "lstm", "tanh", "sigmoid"), 2),
    }


@pytest.mark.parametrize("mask", [None, MASK], ids=["plain", "masked"])
@pytest.mark.parametrize("name", ["lstm", "gru", "rnn", "stepped"])
def test_lowered_modules_broadcast_a_state_or_refuse_it(name, mask):
    module, count = modules()[name]
    one = tuple(torch.full((1, 4), 0.5 + number) for number in range(count))
    whole = tuple(state.expand(2, 4).contiguous() for state in one)
    for got, want in zip(module(X, mask, one), module(X, mask, whole), strict=True):
        torch.testing.assert_close(got, want)
    for shape in [(3, 4), (2, 5)]:
        with pytest.raises(RuntimeError, match="expanded size"):
            module(X, mask, tuple(torch.zeros(shape) for _ in range(count)))
    first = MASK[:1]
    torch.testing.assert_close(module(X, first, whole)[0], module(X, MASK, whole)[0])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("masked", [False, True])
def test_a_trace_keeps_the_check(masked):
    module, _ = modules()["lstm"]

    class Called(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = module

        def forward(self, x, mask, h, c):
            return self.inner(x, mask if masked else None, (h, c))

    state = torch.zeros(2, 4)
    traced = torch.jit.trace(Called(), (X, MASK, state, state))
    three, wrong = torch.ones(3, 5, 3), torch.zeros(4, 4)
    assert traced(three, torch.ones(3, 5, dtype=torch.bool), wrong[:3], wrong[:3])[0].shape == (3, 5, 4)
    for size in (2, 4):
        with pytest.raises(RuntimeError, match="expanded size"):
            traced(three, torch.ones(3, 5, dtype=torch.bool), wrong[:size], wrong[:size])
