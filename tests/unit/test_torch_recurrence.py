"""What PyTorch's recurrent kernels cannot do: gradients of cuDNN's gradients, torch.func, torch.compile."""

from __future__ import annotations

import keras
import pytest

torch = pytest.importorskip("torch")
if keras.backend.backend() != "torch":
    pytest.skip("of the torch backend", allow_module_level=True)

from unikeras.backends.torch import kernels  # noqa: E402 - where there is torch

CELLS = ["lstm", "gru"]


def _arguments(cell, bias=True):
    generator = torch.Generator().manual_seed(0)

    def numbers(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64, requires_grad=True)

    gates, count = (4, 2) if cell == "lstm" else (3, 1)
    biases = [numbers(4 * 5) if cell == "lstm" else numbers(2, 3 * 5)] if bias else []
    weights = [numbers(3, gates * 5), numbers(5, gates * 5), *biases]
    return numbers(2, 4, 3), [numbers(2, 5) for _ in range(count)], weights


MASK = torch.tensor([[True, False, True, True], [False, True, False, False]])


def _refusing(*arguments):
    """Stand in for a kernel whose backward pass has no derivative, as cuDNN's and MPS' have none."""
    outputs, last = kernels.by_kernel(*arguments)
    return _Once.apply(outputs), [_Once.apply(state) for state in last]


class _Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        if torch.is_grad_enabled():
            raise RuntimeError("there is no derivative of this")
        return gradient


def _gradients(run, cell, mask):
    """Return outputs, gradients of them, and gradients of these, of all that goes in."""
    x, states, weights = _arguments(cell)
    outputs, last = run(cell, x, states, mask, weights)
    every, inputs = [outputs, *last], [x, *states, *weights]
    first = torch.autograd.grad(sum((o**3).sum() for o in every), inputs, create_graph=True)
    second = torch.autograd.grad(sum((g**2).sum() for g in first), inputs)
    return [*every, *first, *second]


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("mask", [None, MASK], ids=["none", "holes"])
def test_a_kernel_without_second_derivatives_gets_them(cell, mask):
    with pytest.raises(RuntimeError, match="no derivative"):
        _gradients(_refusing, cell, mask)

    def run(*arguments):
        return kernels.differentiable(_refusing, *arguments)

    expected = _gradients(kernels.by_steps, cell, mask)
    torch.testing.assert_close(_gradients(run, cell, mask), expected)
    torch.testing.assert_close(_gradients(kernels.by_kernel, cell, mask), expected)


@pytest.mark.parametrize("cell", CELLS)
def test_the_kernel_itself_gives_the_first_derivatives(cell, monkeypatch):
    monkeypatch.setattr(kernels, "by_steps", None)
    x, states, weights = _arguments(cell, bias=False)
    outputs, _ = kernels.differentiable(_refusing, cell, x, states, None, weights)
    expected, _ = kernels.by_kernel(cell, x, states, None, weights)
    inputs = [x, *states, *weights]
    for _ in range(2):  # the graph is kept where that is asked for
        found = torch.autograd.grad(outputs.sum(), inputs, retain_graph=True)
        torch.testing.assert_close(found, torch.autograd.grad(expected.sum(), inputs, retain_graph=True))


@pytest.mark.parametrize("cell", CELLS)
def test_a_state_that_changes_before_the_way_back_is_noticed(cell):
    x, states, weights = _arguments(cell)
    held = states[0].detach().clone()
    outputs, _ = kernels.differentiable(kernels.by_kernel, cell, x, [held, *states[1:]], None, weights)
    with torch.no_grad():
        held.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        outputs.sum().backward()


@pytest.mark.parametrize("cell", CELLS)
def test_compiled_code_has_the_same_numbers(cell):
    x, states, weights = _arguments(cell)
    compiled = torch.compile(kernels.recurrence, backend="eager", fullgraph=True)
    torch.testing.assert_close(
        compiled(cell, x, states, MASK, weights), kernels.recurrence(cell, x, states, MASK, weights)
    )
