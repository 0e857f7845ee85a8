"""What cannot be traced runs as Python, once, after one warning; nothing of the trace is left behind."""

from __future__ import annotations

import re

import keras
import numpy as np
import pytest
from helpers.arrays import numpy
from keras import ops

import unikeras as uk
from unikeras import backends

if not backends.current().falls_back:
    pytest.skip("here, what cannot be traced is an error (test_traced_code.py)", allow_module_level=True)

import torch

pytestmark = pytest.mark.usefixtures("backend")

X = np.ones((3, 4), "float32")
COUNT = keras.Variable(0.0)
CALLS: list[int] = []
LINEAR = torch.nn.Linear(4, 2)
OPTIMIZER = torch.optim.SGD(LINEAR.parameters(), 0.1, momentum=0.9)
PARAMETER = torch.nn.Parameter(torch.ones(4))
BUFFER = torch.ones(4)


@torch.library.custom_op("unikeras_tests::double", mutates_args=())
def double(x: torch.Tensor) -> torch.Tensor:
    return x * 2


def backward(x):
    with torch.enable_grad():
        (x * PARAMETER).sum().backward()
    return x


def native_step(x):
    with torch.enable_grad():
        loss = LINEAR(x).sum()
        loss.backward()
    OPTIMIZER.step()
    OPTIMIZER.zero_grad()
    return loss


def assigned_gradient(x):
    PARAMETER.grad = x[0]
    return x


def changed_buffer(x):
    BUFFER.add_(1)
    return x * BUFFER


KINDS = {
    "item": (lambda x: x * ops.sum(x).item(), "a Python number"),
    "float": (lambda x: x * float(ops.sum(x)), "a Python number"),
    "if": (lambda x: x if ops.sum(x) > 0 else -x, "chooses by the value"),
    "numpy": (lambda x: x * np.asarray(x), "a numpy array"),
    "size": (lambda x: x[x > 0], "shape depends on the values"),
    "no fake": (torch.ops.unikeras_tests.double, "calls what cannot be traced .*unikeras_tests::double"),
    "backward": (backward, r"backward\(\)"),
    "native step": (native_step, "no Keras variable"),
    "native module": (LINEAR, "no Keras variable"),
    "assigned gradient": (assigned_gradient, "no Keras variable"),
    "changed buffer": (changed_buffer, "no Keras variable"),
}


@pytest.mark.filterwarnings("ignore:__array_wrap__|.*copy keyword:DeprecationWarning")
@pytest.mark.parametrize("name", KINDS)
def test_it_runs_as_python_and_leaves_nothing_behind(name):
    f, words = KINDS[name]

    def step(x):
        COUNT.assign_add(1.0)
        CALLS.append(1)
        return f(x)

    start()
    expected = [numpy(uk.stop_gradient(step(ops.convert_to_tensor(X)))) for _ in range(3)]
    left = state()
    start()
    compiled = uk.function(step)
    with pytest.warns(
        UserWarning, match=f"{words}.* at .*{re.escape(__file__)}:\\d+.*runs as Python"
    ) as warned:
        actual = [numpy(compiled(X)) for _ in range(3)]
    assert len([w for w in warned if w.category is UserWarning]) == 1
    np.testing.assert_array_equal(actual, expected)
    np.testing.assert_equal(state(), left)
    assert compiled.trace_count == 0


def start():
    COUNT.assign(0.0)
    CALLS.clear()
    OPTIMIZER.state.clear()
    with torch.no_grad():
        for tensor in (*LINEAR.parameters(), PARAMETER, BUFFER):
            tensor.fill_(1.0)
            tensor.grad = None


def state():
    """Return everything that a step may change; a tensor of a trace has no numbers and fails here."""
    tensors = [*LINEAR.parameters(), PARAMETER, BUFFER]
    momenta = [entry["momentum_buffer"] for entry in OPTIMIZER.state.values()]
    gradients = [None if tensor.grad is None else tensor.grad.tolist() for tensor in tensors]
    return [len(CALLS), float(numpy(COUNT.value)), gradients, [t.tolist() for t in (*tensors, *momenta)]]


def test_an_error_is_that_of_the_python_run():
    count = keras.Variable(0.0)

    def step(x):
        count.assign_add(1.0)
        return ops.matmul(x, ops.ones((7, 2)))

    with pytest.raises(RuntimeError) as eager:
        step(ops.convert_to_tensor(X))
    count.assign(0.0)
    with pytest.raises(RuntimeError) as compiled:
        uk.function(step)(X)
    assert (type(compiled.value), str(compiled.value)) == (type(eager.value), str(eager.value))
    assert float(numpy(count.value)) == 0.0


@pytest.mark.parametrize("jit_compile", [False, "auto"])
def test_arguments_may_have_any_memory(jit_compile):
    f = uk.function(lambda x: (x + x, x.reshape(-1)), jit_compile=jit_compile)
    base = torch.arange(12.0).reshape(3, 4)
    for x in (base, base.T.contiguous().T, base[:1].expand(3, 4)):
        torch.testing.assert_close(f(x), (x + x, x.reshape(-1)), rtol=0, atol=0)
    x = torch.ones(3, dtype=torch.complex64) * 1j
    f(x)
    torch.testing.assert_close(f(x.conj())[0].resolve_conj(), (x + x).conj().resolve_conj())


@pytest.mark.parametrize("jit_compile", [False, "auto"])
def test_an_argument_that_is_returned_may_be_the_state(jit_compile):
    variable = keras.Variable([1.0, 2.0])

    def step(x):
        variable.assign(x * 2)
        return x

    result = uk.function(step, jit_compile=jit_compile)(variable.value.detach())
    np.testing.assert_array_equal(numpy(result), [1.0, 2.0])
    np.testing.assert_array_equal(numpy(variable.value), [2.0, 4.0])


@pytest.mark.parametrize("jit_compile", [False, "auto"])
def test_a_tape_answers_for_what_it_read_before_a_program(jit_compile):
    variable = keras.Variable([1.0, 2.0])
    with uk.GradientTape() as tape:
        y = ops.sum(variable * variable)
    uk.function(lambda: variable.assign_add([5.0, 5.0]), jit_compile=jit_compile)()
    np.testing.assert_array_equal(numpy(tape.gradient(y, variable)), [2.0, 4.0])
    np.testing.assert_array_equal(numpy(variable.value), [6.0, 7.0])


def test_an_argument_that_the_function_changes_is_changed_in_any_layout():
    add = uk.function(lambda x: x.add_(1))
    for x in (torch.zeros(3, 2), torch.zeros(2, 3).t()):
        add(x)
        assert bool((x == 1).all())
    assert add.trace_count == 1
