"""Inductor on a program's graph: in one piece, with writes in place, and a clear error without a compiler."""

from __future__ import annotations

import os
import sys

import keras
import pytest

torch = pytest.importorskip("torch")
if keras.backend.backend() != "torch":
    pytest.skip("Inductor is PyTorch's compiler", allow_module_level=True)

from helpers.torch_graphs import run, traced, ulps  # noqa: E402

import unikeras as uk  # noqa: E402
from unikeras.backends.torch import _fused_optimizers, _inductor  # noqa: E402, F401
from unikeras.errors import BackendUnavailable  # noqa: E402


def step(x, w, momentum, velocity):
    """A step that writes its inputs by an operator of our own and by one of torch's."""
    grad = x.t() @ torch.tanh(x @ w)
    rate = torch.full((), 0.1)
    torch.ops.unikeras.adam_([w], [grad], [momentum], [velocity], [], rate, 0.9, 0.999, 1e-7)
    momentum.view(-1)[0] += 1
    return (grad * 2).relu().sum(), w + 0


@pytest.mark.skipif(sys.platform == "win32", reason="the compiler of Windows needs a shell of its own")
def test_a_compiled_graph_writes_what_the_graph_writes():
    inputs = [torch.randn(8, 3), torch.randn(3, 3), torch.zeros(3, 3), torch.zeros(3, 3)]
    graph = traced(step, *inputs)
    try:
        compiled = _inductor.compile(graph, inputs)
    except BackendUnavailable as error:
        pytest.skip(str(error))
    assert ulps(run(compiled, inputs), run(graph, inputs)) <= 8


def test_calls_of_other_sizes_are_compiled_for_themselves():
    total = keras.Variable(0.0, trainable=False)
    add = uk.function(lambda x: total.assign_add(keras.ops.sum(x)), jit_compile=True)
    try:
        found = [float(add(torch.ones(size))) for size in (2, 3, 4, 2)]
    except BackendUnavailable as error:
        pytest.skip(str(error))
    assert found == [2.0, 5.0, 9.0, 11.0]
    assert add.trace_count == 3


def test_without_a_compiler_the_error_says_what_to_do(monkeypatch):
    from torch._inductor import config

    monkeypatch.setenv("PATH", "")
    _forget_compiler()
    graph = traced(lambda x: x + 1, torch.ones(3))
    try:
        with (
            config.patch({"cpp.cxx": (None, "g++")}),
            pytest.raises(BackendUnavailable, match=r"C\+\+ compiler.*PATH.*jit_compile"),
        ):
            _inductor.compile(graph, [torch.ones(3)])
    finally:
        _forget_compiler()
    assert os.environ["PATH"] == ""


def _forget_compiler():
    from torch._inductor import cpp_builder

    cpp_builder.cpp_compiler_search.cache_clear()
