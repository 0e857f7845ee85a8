"""LSTM and GRU on PyTorch as operators: derivatives of every order, traces, Inductor, torch.func, torch.compile."""

from __future__ import annotations

import keras
import pytest

torch = pytest.importorskip("torch")
if keras.backend.backend() != "torch":
    pytest.skip("of the torch backend", allow_module_level=True)

from torch.fx.experimental.proxy_tensor import make_fx  # noqa: E402 - where there is torch

from unikeras.backends.torch import _library_kernels, _recurrence, kernels  # noqa: E402

CELLS = ["lstm", "gru"]
MASK = torch.tensor([[True, False, True, True], [False, True, False, False], [True, True, True, True]])


def _arguments(cell, bias=True, dtype=torch.float64, rows=3, steps=4):
    """Return x, states and weights, all of which gradients are asked for."""
    generator = torch.Generator().manual_seed(0)

    def numbers(*shape):
        made = torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)
        return made.requires_grad_()

    gates, count = (4, 2) if cell == "lstm" else (3, 1)
    biases = [numbers(4 * 5) if cell == "lstm" else numbers(2, 3 * 5)] if bias else []
    weights = [numbers(3, gates * 5), numbers(5, gates * 5), *biases]
    return numbers(rows, steps, 3), [numbers(rows, 5) for _ in range(count)], weights


def _derivatives(run, cell, arguments, mask=None, orders=3, results=slice(None)):
    """Return what comes out, and gradients of that, gradients of these, and so on, of all that goes in."""
    x, states, weights = arguments
    outputs, last = run(cell, x, states, mask, weights)
    inputs, found = [x, *states, *weights], [[outputs, *last]]
    now, power = found[0][results], 3
    for order in range(orders):
        total = sum((value**power).sum() for value in now)
        more = order + 1 < orders
        gradients = torch.autograd.grad(total, inputs, create_graph=more, allow_unused=True)
        found.append(list(gradients))
        now, power = [gradient for gradient in gradients if gradient is not None], 2
    return found


def _all(derivatives):
    return [value for order in derivatives for value in order]


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("mask", [None, MASK], ids=["none", "holes"])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
def test_three_derivatives_are_those_of_the_steps(cell, mask, bias):
    arguments = _arguments(cell, bias)
    found = _derivatives(kernels.by_kernel, cell, arguments, mask)
    torch.testing.assert_close(found, _derivatives(kernels.by_steps, cell, arguments, mask))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("number", [0, 1, 2])
def test_each_result_alone_has_two_derivatives(cell, number):
    arguments = _arguments(cell)
    if number >= 2 and cell == "gru":
        number = 1
    options = {"orders": 2, "results": slice(number, number + 1)}
    found = _derivatives(kernels.by_kernel, cell, arguments, **options)
    torch.testing.assert_close(found, _derivatives(kernels.by_steps, cell, arguments, **options))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float32, 1e-4), (torch.bfloat16, 0.1)])
def test_the_kernels_of_the_library_agree_with_the_steps(cell, dtype, rtol):
    """OneDNN has an LSTM for these dtypes, with a derivative of the second order that is the steps'."""
    arguments = _arguments(cell, dtype=dtype)
    orders = 2 if dtype == torch.float32 else 1
    found = _derivatives(kernels.by_kernel, cell, arguments, orders=orders)
    wanted = _derivatives(kernels.by_steps, cell, arguments, orders=orders)
    for got, want in zip(_all(found), _all(wanted), strict=True):
        torch.testing.assert_close(got, want, rtol=rtol, atol=rtol * float(want.detach().abs().max()))


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN")
def test_an_lstm_on_the_cpu_is_that_of_torch_bitwise():
    x, (h, c), (kernel, recurrent, bias) = _arguments("lstm", dtype=torch.float32)
    outputs, last = kernels.by_kernel("lstm", x, [h, c], None, [kernel, recurrent, bias])
    weights = [kernel.T.contiguous(), recurrent.T.contiguous(), bias, torch.zeros_like(bias)]
    wanted = torch._VF.lstm(x, (h[None], c[None]), weights, True, 1, 0.0, True, False, True)
    for got, want in zip([outputs, *last], wanted, strict=True):
        assert torch.equal(got, want.reshape(got.shape))
    inputs = [x, h, c, kernel, recurrent, bias]
    found = torch.autograd.grad(outputs.sum(), inputs)
    for got, want in zip(found, torch.autograd.grad(wanted[0].sum(), inputs), strict=True):
        assert torch.equal(got, want)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("rows", "steps"), [(0, 4), (3, 0), (1, 1)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("masked", [False, True])
def test_few_rows_and_few_steps(cell, rows, steps, dtype, masked):
    arguments = _arguments(cell, dtype=dtype, rows=rows, steps=steps)
    mask = torch.ones(rows, steps, dtype=torch.bool) if masked else None
    found = _derivatives(kernels.by_kernel, cell, arguments, mask, orders=1)
    assert found[0][0].shape == (rows, steps, 5)
    wanted = _derivatives(kernels.by_steps, cell, arguments, mask, orders=1)
    for got, want in zip(_all(found), _all(wanted), strict=True):
        if got is not None and want is not None:  # which weights are never used is of no interest
            torch.testing.assert_close(got, want)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_memory_in_another_order_is_taken(cell, dtype):
    x, states, weights = _arguments(cell, dtype=dtype)

    def turned(value):
        return value.detach().t().contiguous().t().requires_grad_()

    wanted = _derivatives(kernels.by_kernel, cell, (x, states, weights), orders=1)
    other = x.detach().transpose(0, 2).contiguous().transpose(0, 2).requires_grad_()
    turned = (other, [turned(state) for state in states], [turned(weight) for weight in weights])
    torch.testing.assert_close(_derivatives(kernels.by_kernel, cell, turned, orders=1), wanted)


@pytest.mark.parametrize("cell", CELLS)
def test_the_operator_itself_gives_the_first_derivatives_as_often_as_asked(cell, monkeypatch):
    arguments = _arguments(cell)
    wanted = _derivatives(kernels.by_steps, cell, arguments, orders=1)[1]
    monkeypatch.setattr(_recurrence, "by_steps", None)
    x, states, weights = arguments
    outputs, last = kernels.by_kernel(cell, x, states, None, weights)
    total = sum((value**3).sum() for value in [outputs, *last])
    for _ in range(2):  # the graph is kept where that is asked for
        for create_graph in (False, True):
            inputs, options = [x, *states, *weights], {"retain_graph": True, "create_graph": create_graph}
            torch.testing.assert_close(list(torch.autograd.grad(total, inputs, **options)), wanted)


@pytest.mark.parametrize("cell", CELLS)
def test_a_state_that_changes_before_the_way_back_is_noticed(cell):
    x, states, weights = _arguments(cell)
    held = states[0].detach().clone()
    outputs, _ = kernels.by_kernel(cell, x, [held, *states[1:]], None, weights)
    with torch.no_grad():
        held.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        outputs.sum().backward()


def _step(cell, count):
    def step(*tensors):
        x, *rest = (tensor.detach().requires_grad_() for tensor in tensors)
        return _all(_derivatives(kernels.recurrence, cell, (x, rest[:count], rest[count:]), orders=1))

    return step


def _flat(cell, **options):
    x, states, weights = _arguments(cell, **options)
    return [tensor.detach() for tensor in (x, *states, *weights)], _step(cell, len(states))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("mode", ["fake", "symbolic"])
def test_a_trace_has_two_nodes_and_runs_without_gradients(cell, dtype, mode):
    tensors, step = _flat(cell, dtype=dtype)
    graph = make_fx(step, tracing_mode=mode)(*tensors)
    own = [str(node.target) for node in graph.graph.nodes if "unikeras" in str(node.target)]
    assert own == [f"unikeras.{cell}.default", f"unikeras.{cell}_backward.default"]
    for rows in (3, 7) if mode == "symbolic" else (3,):
        tensors, _ = _flat(cell, dtype=dtype, rows=rows)
        with torch.no_grad():
            found = graph(*tensors)
        for got, want in zip(found, step(*tensors), strict=True):
            assert torch.equal(got, want)
            assert got.stride() == want.stride()


@pytest.mark.parametrize("cell", CELLS)
def test_second_derivatives_are_traced(cell):
    tensors, _ = _flat(cell)
    count = 2 if cell == "lstm" else 1

    def step(*tensors):
        x, *rest = (tensor.detach().requires_grad_() for tensor in tensors)
        return _derivatives(kernels.recurrence, cell, (x, rest[:count], rest[count:]), orders=2)[2]

    found = make_fx(step, tracing_mode="fake")(*tensors)(*tensors)
    for got, want in zip(found, step(*tensors), strict=True):
        assert torch.equal(got, want)


@pytest.mark.parametrize("cell", CELLS)
def test_the_operators_keep_the_rules_of_torch(cell):
    tensors, _ = _flat(cell)
    kernel = 3 if cell == "lstm" else 2
    if cell == "lstm":
        tensors[kernel : kernel + 2] = [tensor.T.contiguous() for tensor in tensors[kernel : kernel + 2]]
    forward = getattr(_recurrence, cell)
    backward = getattr(_recurrence, f"{cell}_backward")
    rules = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(forward, (*tensors, False), test_utils=rules)
    results = forward(*tensors, True)
    arriving = [torch.ones_like(result) for result in results[:-1]]
    saved = results if cell == "lstm" else (results[0], results[-1])
    torch.library.opcheck(backward, (*arriving, *tensors, *saved), test_utils=rules)
    followed = [tensor.requires_grad_() for tensor in tensors]
    torch.library.opcheck(forward, (*followed, True), test_utils=rules)


def _has_compiler():
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        return bool(torch._inductor.cpp_builder.get_cpp_compiler())
    except InvalidCxxCompiler:
        return False


def test_inductor_compiles_a_traced_step():
    if not _has_compiler():
        pytest.skip("Inductor has no C++ compiler here")
    tensors, step = _flat("lstm", dtype=torch.float32)
    graph = make_fx(step, tracing_mode="fake")(*tensors)
    compiled = torch.compile(graph, fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(compiled(*tensors), graph(*tensors))
    torch._dynamo.reset()


@pytest.mark.parametrize("cell", CELLS)
def test_compiled_code_has_the_same_numbers(cell):
    x, states, weights = _arguments(cell)
    compiled = torch.compile(kernels.recurrence, backend="eager", fullgraph=True)
    torch.testing.assert_close(
        compiled(cell, x, states, MASK, weights), kernels.recurrence(cell, x, states, MASK, weights)
    )


class _StandIn:
    """CuDNN's operators on the CPU: torch checks the arguments by its schema, and its own functions compute."""

    @staticmethod
    def _run(x, weights, hx, cx, mode):
        first = hx if cx is None else (hx, cx)
        return (torch._VF.gru if cx is None else torch._VF.lstm)(
            x, first, weights, True, 1, 0.0, True, False, False
        )

    def _cudnn_rnn(self, *arguments):
        on_meta = torch.utils._pytree.tree_map_only(torch.Tensor, lambda value: value.to("meta"), arguments)
        torch.ops.aten._cudnn_rnn.default(*on_meta)
        x, weights, _, buffer, hx, cx, mode, *_ = arguments
        outputs, h, *c = self._run(x, weights, hx, cx, mode)
        return outputs, h, c[0] if c else None, x.new_empty(0, dtype=torch.uint8), buffer

    def _cudnn_rnn_backward(self, *arguments):
        x, weights, _, _, hx, cx, outputs, of_outputs, of_h, of_c, mode, *_ = arguments
        assert len(arguments) == len(torch.ops.aten._cudnn_rnn_backward.default._schema.arguments)
        inputs = [
            value.detach().requires_grad_() for value in (x, hx, *([cx] if cx is not None else []), *weights)
        ]
        count = 2 if cx is None else 3
        with torch.enable_grad():
            results = self._run(
                inputs[0], inputs[count:], inputs[1], inputs[2] if cx is not None else None, mode
            )
        assert torch.equal(results[0], outputs)
        dx, dh, *rest = torch.autograd.grad(results, inputs, [of_outputs, of_h, of_c][:count])
        return dx, dh, rest[0] if cx is not None else None, rest[count - 2 :]


@pytest.mark.parametrize("cell", CELLS)
def test_weights_and_gradients_have_the_layout_of_cudnn(cell, monkeypatch):
    monkeypatch.setattr(_library_kernels, "_aten", _StandIn())
    monkeypatch.setattr(
        _library_kernels, "_flattened", lambda mode, x, h, weights: (weights, 4, torch.ones(1))
    )
    arguments = x, states, (kernel, recurrent, bias) = _arguments(cell)
    wanted = _derivatives(kernels.by_steps, cell, arguments, orders=1)
    x, kernel, recurrent, bias, *states = (value.detach() for value in (x, kernel, recurrent, bias, *states))
    if cell == "lstm":
        mode, weights = _library_kernels.LSTM, _library_kernels.lstm_weights(kernel.T, recurrent.T, bias)
    else:
        mode, weights = _library_kernels.GRU, _library_kernels.gru_weights(kernel, recurrent, bias)
    outputs, last, reserve = _library_kernels.cudnn(mode, x, tuple(states), weights, True)
    torch.testing.assert_close([outputs, *last], wanted[0])
    arriving = [3 * value**2 for value in (outputs, *last)]
    dx, of_states, found = _library_kernels.cudnn_backward(
        mode, arriving, x, tuple(states), weights, outputs, reserve
    )
    lstm = [found[0].T, found[1].T, found[2]]
    found = lstm if cell == "lstm" else _library_kernels.gru_gradients(found)
    torch.testing.assert_close([dx, *of_states, *found], wanted[1])
