"""Modules of PyTorch as programs: graphs and arrays that need no torch to be read."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest

from unikeras._specs.program_reader import read_program
from unikeras.errors import ArgumentError, ArgumentValueError, CannotImport, SignatureError

torch = pytest.importorskip("torch")
if keras.backend.backend() != "torch":
    pytest.skip("of the torch backend", allow_module_level=True)

from torch import nn  # noqa: E402 - where there is torch

from unikeras.interop import ImportedModule  # noqa: E402
from unikeras.interop._program_inputs import read_inputs  # noqa: E402
from unikeras.interop.operators import find as find_rule  # noqa: E402
from unikeras.lowering import module_answers, module_program  # noqa: E402

X = torch.linspace(-1.0, 1.0, 10).reshape(2, 5)
SEQUENCE = torch.linspace(-1.0, 1.0, 30).reshape(2, 3, 5)


class Calls(nn.Module):
    """A module whose forward method is a function of itself and of its inputs."""

    def __init__(self, function, **parts):
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x, y=None, flag=True):
        return self.function(self, x) if y is None else self.function(self, x, y)


class Round(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        return x.round()

    @staticmethod
    def backward(context, gradient):
        return gradient


def everything(name):
    return True


def program_of(module, *inputs, **options):
    return module_program(module, inputs, keep=everything, **options)[0]


def operators(graph):
    return [node.operator for node in graph.nodes]


def find(graph, operator):
    return next(node for node in graph.nodes if node.operator == operator)


def held(graph, argument):
    """Return the variable that an argument is."""
    return graph.held[argument["node"]]


def test_a_layer_is_one_operator_of_named_variables():
    module = nn.Sequential(nn.Linear(5, 3), nn.ReLU())
    module[0].bias.requires_grad = False
    program, arrays = module_program(module, X, keep=everything)
    assert operators(program.eval) == ["aten.linear.default", "aten.relu.default"]
    linear = program.eval.nodes[0]
    assert linear.module == ("0", "torch.nn.Linear")
    assert linear.dtype == "float32"
    assert [held(program.eval, argument) for argument in linear.args[1:]] == ["0.weight", "0.bias"]
    assert [(v.name, v.trainable) for v in program.variables] == [("0.weight", True), ("0.bias", False)]
    np.testing.assert_array_equal(arrays["0.weight"], module[0].weight.detach().numpy())
    assert not np.shares_memory(arrays["0.weight"], module[0].weight.detach().numpy())
    assert program.inputs[0].shape == (None, 5)
    json.dumps(program.to_json(), allow_nan=False)


def test_what_nobody_keeps_is_decomposed():
    program, _ = module_program(nn.Linear(5, 3), X, keep=lambda name: "linear" not in name)
    assert operators(program.eval) == ["aten.t.default", "aten.addmm.default"]


def test_the_module_is_untouched_even_after_an_error():
    inner = nn.Sequential(nn.LSTM(5, 3), nn.BatchNorm1d(5)).eval()

    def fail(self, x):
        self.cache = x * 2
        self.inner[1](x[:, 0])
        raise KeyboardInterrupt if self.training else RuntimeError

    module = Calls(fail, inner=inner)
    module.train()
    inner.eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with pytest.raises(KeyboardInterrupt), pytest.warns(UserWarning, match="cache was assigned"):
        program_of(module, SEQUENCE)
    assert module.training
    assert not inner.training
    assert not hasattr(module, "cache")
    assert "forward" not in vars(inner[0])
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_an_operator_has_the_line_that_called_it():
    program = program_of(Calls(lambda self, x: self.layer(x).exp(), layer=nn.Linear(5, 3)), X)
    line = find(program.eval, "aten.exp.default").line
    assert line.startswith("test_torch_programs.py:")


def test_structures_of_inputs_and_outputs_are_data():
    module = Calls(lambda self, x, y: {"b": (x["a"] + y[0], None), "a": [y[0], 2.5]})
    program = program_of(module, {"a": X, "skip": None}, (X + 1,), False)
    assert program.inputs_structure == [{"a": 0, "skip": None}, [1], "false"]
    assert [one.shape for one in program.inputs] == [(None, 5), (None, 5)]
    assert program.outputs_structure == {"b": [0, 1], "a": [2, 3]}
    assert [program.eval.outputs[at] for at in (1, 3)] == [None, 2.5]


def test_arguments_by_name_in_any_order():
    module = Calls(lambda self, x, y: x - y)
    program, _ = module_program(module, {"y": X.numpy(), "x": X[:, :1]}, keep=everything)
    assert program.inputs_structure == {"y": 0, "x": 1}
    assert [(one.name, one.shape) for one in program.inputs] == [("y", (None, 5)), ("x", (None, 1))]
    assert [argument["node"] for argument in program.eval.nodes[-1].args] == ["x", "y"]


def test_one_tensor_for_two_inputs_is_two_inputs():
    program = program_of(Calls(lambda self, x, y: x.exp() - y), X, X)
    assert find(program.eval, "aten.exp.default").args == [{"node": program.inputs[0].name}]


def test_an_example_of_one_leaves_its_axes_dynamic():
    program = program_of(Calls(lambda self, x: x.reshape(x.shape[0], -1)), SEQUENCE[:1, :0])
    assert program.inputs[0].shape == (None, 0, 5)
    program = program_of(
        Calls(lambda self, x: x.flatten(0, 1)), SEQUENCE[:1, :0], dynamic=({0: "batch", 1: "time"},)
    )
    assert program.inputs[0].shape == (None, None, 5)
    assert "aten.sym_size.int" in operators(program.eval)
    # next to a batch, a single row is one that is broadcast
    assert program_of(Calls(lambda self, x, y: x + y), X, X[:1]).inputs[1].shape == (1, 5)


def test_sizes_are_nodes():
    program = program_of(Calls(lambda self, x: x / (x.shape[0] * x.shape[1])), X)
    division = find(program.eval, "aten.div.Tensor")
    size = find(program.eval, "aten.sym_size.int")
    times = find(program.eval, "py.mul")
    assert (times.args, times.dtype) == ([{"node": size.name}, 5], None)
    assert division.args[1] == {"node": times.name}


def test_a_fixed_axis_is_refused_with_its_line():
    module = Calls(lambda self, x, y: x.reshape(2, 5) + torch.stack([row * 2 for row in y]))
    with pytest.raises(CannotImport) as caught:
        program_of(module, X, X + 1, dynamic=({0: "batch"}, ("rows", None)))
    first, second = caught.value.reasons
    assert first.startswith("fixes axis 0 of inputs[0], 'batch', to 2 (test_torch_programs.py:")
    assert second.startswith("fixes axis 0 of inputs[1], 'rows', to 2 (test_torch_programs.py:")


@pytest.mark.parametrize(
    ("dynamic", "message"),
    [
        (({2: "batch"}, None), "no axis 2"),
        (({},), "expected 2 entries"),
        (("batch", None), "expected {axis: name}"),
        (({0: "size", 1: "size"}, None), "'size' is 2 for axis 0 of inputs.0. and 5 for axis 1"),
    ],
)
def test_dynamic_axes_that_do_not_fit(dynamic, message):
    with pytest.raises(ArgumentValueError, match=message):
        program_of(Calls(lambda self, x, y: x + y), X, X, dynamic=dynamic)


def test_buffers_are_written_in_train_mode():
    program = program_of(nn.BatchNorm1d(5), X)
    names = {"running_mean", "running_var", "num_batches_tracked"}
    assert set(program.train.writes) == names
    assert len(program.train.outputs) == 4
    assert program.eval.writes == ()
    assert {v.name for v in program.variables if v.kind == "buffer"} == names


def test_tied_weights_are_one_variable():
    module = Calls(
        lambda self, x: self.decoder(self.embedding(x)), embedding=nn.Embedding(7, 4), decoder=nn.Linear(4, 7)
    )
    module.decoder.weight = module.embedding.weight
    program, arrays = module_program(module, torch.arange(6).reshape(2, 3), keep=everything)
    assert list(arrays) == ["embedding.weight", "decoder.bias"]
    assert program.variables[0].aliases == ("decoder.weight",)
    assert held(program.eval, find(program.eval, "aten.linear.default").args[1]) == "embedding.weight"
    assert program.inputs[0].dtype == "int64"


def test_constants_are_found_by_their_memory():
    module = Calls(lambda self, x: x @ self.seen + self.listed[0] + self.own, weight=nn.Linear(5, 5))
    module.seen, module.listed, module.own = (
        module.weight.weight.detach(),
        [module.weight.bias],
        torch.ones(5),
    )
    program = program_of(module, X)
    assert [v.name for v in program.variables] == ["weight.weight", "weight.bias", "own"]
    stop = find(program.eval, "unikeras_program.stop.default")
    assert held(program.eval, stop.args[0]) == "weight.weight"
    assert find(program.eval, "aten.matmul.default").args[1] == {"node": stop.name}
    assert operators(program.eval).count("unikeras_program.stop.default") == 1


def test_views_of_a_parameter_are_refused():
    module = Calls(lambda self, x: x @ self.turned, weight=nn.Linear(5, 5))
    module.turned = module.weight.weight.detach().t()
    with pytest.raises(CannotImport, match=r"weight\.weight and turned in one memory"):
        program_of(module, X)


def test_gradients_stop_where_they_did():
    def forward(self, x):
        with torch.no_grad():
            mean = x.mean(0)
            self.state.mul_(0.9)[0].add_(mean[0])
        return x.exp().detach() + mean + self.state

    program = program_of(Calls(forward, state=nn.Buffer(torch.ones(5))), X)
    stops = [
        node.args[0]["node"]
        for node in program.eval.nodes
        if node.operator == "unikeras_program.stop.default"
    ]
    assert {find(program.eval, f"aten.{name}").name for name in ("mean.dim", "exp.default")} <= set(stops)
    sums = [node for node in program.eval.nodes if node.operator == "aten.add.Tensor"]
    by_name = {node.name: node for node in program.eval.nodes}
    read = sums[-1].args[1]["node"]
    assert by_name[read].operator in ("unikeras_program.stop.default", "aten.select_scatter.default")
    assert program.eval.writes == ("state",)


def test_changes_in_place_and_views_become_values():
    def forward(self, x):
        y = x.clone()
        y[:, 0] = 0
        y.relu_()
        return y.view(-1)

    program = program_of(Calls(forward), X)
    assert not [
        name for name in operators(program.eval) if name.partition(".")[2].partition(".")[0].endswith("_")
    ]
    with pytest.raises(CannotImport, match=r"changes inputs\[0\] in place"):
        program_of(Calls(lambda self, x: x.add_(1)), X)


@pytest.mark.parametrize("place", [slice(None), 0])
def test_what_is_written_through_a_detached_buffer_stays_without_gradients(place):
    def forward(self, x):
        y = self.weight * x
        self.state.detach()[place].copy_(y.sum())
        return self.state * y

    module = Calls(forward, weight=nn.Parameter(torch.ones(5)), state=nn.Buffer(torch.ones(5)))
    program, arrays = module_program(module, (X,), keep=lambda name: find_rule(name) is not None)
    assert program.eval.writes == ("state",)
    model = ImportedModule(program, arrays)
    model(X).sum().backward()
    module(X).sum().backward()
    torch.testing.assert_close(model.named_variables["state"].value, module.state)
    torch.testing.assert_close(model.named_variables["weight"].value.grad, module.weight.grad)


@pytest.mark.parametrize("trained", [True, False])
def test_writes_through_a_detached_tensor_with_gradients_are_refused(trained):
    def forward(self, x):
        y = self.weight if trained else x * 2
        y.detach().clamp_(0, 1)
        return y * x

    with pytest.raises(
        CannotImport, match=r"detached tensor in place that has gradients \(test_torch_programs.py"
    ):
        program_of(Calls(forward, weight=nn.Parameter(torch.ones(5))), X)


def test_sizes_that_a_trace_does_not_hold_for_are_refused():
    def forward(self, x):
        x = x + self.table[: x.shape[1]]
        return x * 2 if x.shape[0] > 3 else x

    module = Calls(forward, table=nn.Buffer(torch.zeros(8)))
    program, _ = module_program(module, torch.ones(5, 6), {0: "rows", 1: "length"}, keep=everything)
    assert [(one.axis, one.least, one.most) for one in program.ranges] == [(0, 4, None), (1, 0, 8)]
    assert program.ranges[0].line.startswith("test_torch_programs.py")
    assert read_program(json.dumps(program.to_json())).ranges == program.ranges
    for shape, problem in (
        ((3, 6), r"axis 0 of x is 3, and must be 4 or more \(test_"),
        ((4, 9), "axis 1 of x is 9, .* 0 to 8"),
    ):
        with pytest.raises(SignatureError, match=problem):
            read_inputs(program, [torch.ones(shape)], {})
    read_inputs(program, [torch.ones(4, 8)], {})


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_precisions(dtype):
    module = nn.Linear(5, 3).to(getattr(torch, dtype))
    program, arrays = module_program(module, X.to(module.weight.dtype), keep=everything)
    assert program.variables[0].dtype == program.inputs[0].dtype == program.eval.nodes[0].dtype == dtype
    assert arrays["weight"].dtype.name == dtype


def test_booleans_and_integers():
    module = Calls(lambda self, x, y: torch.where(y, x, float("-inf")))
    program = program_of(module, torch.arange(10).reshape(2, 5), X > 0)
    assert [one.dtype for one in program.inputs] == ["int64", "bool"]
    assert "Infinity" not in json.dumps(program.to_json())


@pytest.mark.parametrize(
    ("kind", "operator", "options", "count"),
    [
        (nn.LSTM, "lstm", {"num_layers": 2, "bidirectional": True, "batch_first": True, "dropout": 0.5}, 16),
        (nn.LSTM, "lstm", {"proj_size": 2}, 5),
        (nn.GRU, "gru", {"bias": False}, 2),
        (nn.RNN, "rnn_tanh", {}, 4),
        (nn.RNN, "rnn_relu", {"nonlinearity": "relu"}, 4),
    ],
)
def test_recurrent_layers_are_one_operator_of_their_weights(kind, operator, options, count):
    module = kind(5, 4, **options)
    program = program_of(module, SEQUENCE, dynamic=({0: "a", 1: "b"},))
    node = find(program.train, f"unikeras_program.{operator}.default")
    params, bias, layers, dropout, train, both, batch_first = node.args[2:]
    assert [held(program.train, one) for one in params] == [name for name, _ in module.named_parameters()]
    assert len(params) == count
    assert (bias, layers, dropout) == (module.bias, module.num_layers, module.dropout)
    assert (train, both, batch_first) == (True, module.bidirectional, module.batch_first)
    assert program.outputs_structure == ([0, [1, 2]] if kind is nn.LSTM else [0, 1])


def test_recurrent_layers_with_states_without_a_batch_and_of_subclasses():
    class Doubled(nn.LSTM):
        def forward(self, x, states=None):
            return super().forward(x, states)[0] * 2

    state = torch.zeros(1, 4)
    program = program_of(Doubled(5, 4), SEQUENCE[0], (state, state), dynamic=({0: "time"}, None))
    assert "unikeras_program.lstm.default" in operators(program.eval)
    assert program.eval.nodes[-1].operator == "aten.mul.Tensor"
    assert find(program.eval, "unikeras_program.lstm.default").module[1].endswith("Doubled")


@pytest.mark.parametrize(
    ("forward", "message"),
    [
        (
            lambda self, x: x if x.sum() > 0 else -x,
            "depend on a tensor's values; .*torch.where .test_torch_pro",
        ),
        (lambda self, x: x[x > 0], r"aten\.index\.Tensor whose size depends on values"),
        (lambda self, x: torch.from_numpy(x.numpy()), "leaves torch for numpy"),
        (lambda self, x: Round.apply(x), "calls Round, a torch.autograd.Function"),
        (lambda self, x: (x, torch.float32), "neither a tensor nor a number"),
        (lambda self, x: [][1], r"IndexError: list index out of range \(test_torch_programs.py:"),
        (lambda self, x: torch.cond(x.sum() > 0, torch.exp, torch.sin, (x,)), r"uses torch\.cond"),
        (lambda self, x: self.rnn(nn.utils.rnn.pack_padded_sequence(x, [2, 2]))[1], "uses packed sequences"),
    ],
)
def test_modules_that_cannot_be_exported(forward, message):
    with pytest.raises(CannotImport, match=message):
        program_of(Calls(forward, rnn=nn.GRU(5, 3)), X if "packed" not in message else SEQUENCE)


def test_inputs_that_no_program_takes():
    with pytest.raises(ArgumentError, match=r"inputs\[0\] is a object; inputs\[1\]\['a'\] is a set"):
        program_of(Calls(lambda self, x: x), object(), {"a": {1}})
    with pytest.raises(ArgumentError, match=r"expected a torch\.nn\.Module, received a function"):
        program_of(everything, X)
    with pytest.raises(CannotImport, match=r"complex numbers in inputs\[0\], weight"):
        program_of(nn.Linear(5, 3, dtype=torch.complex64), X * 1j)


def test_checkpoints_and_parametrizations_are_what_they_compute():
    module = Calls(
        lambda self, x: torch.utils.checkpoint.checkpoint(self.layer, x, use_reentrant=True),
        layer=nn.utils.parametrizations.weight_norm(nn.Linear(5, 3)),
    )
    program = program_of(module, X)
    assert operators(program.train) == ["aten._weight_norm.default", "aten.linear.default"]


def test_answers_are_those_of_torch_without_dropout():
    module = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Dropout(0.9), nn.Linear(4, 3))
    same = nn.Sequential(module[0], module[1], module[3])
    untrained = {name: value.clone() for name, value in module.state_dict().items()}
    for x in (X, X.numpy()):
        answers = module_answers(module, x, steps=2, epsilon=1e-12)
        np.testing.assert_allclose(answers.evaluated[0], same.eval()(X).detach(), rtol=1e-6)
    assert all(torch.equal(value, untrained[name]) for name, value in module.state_dict().items())
    module.train()
    output = same.train()(X)
    np.testing.assert_allclose(answers.trained[0], output.detach(), rtol=1e-6)
    (output * torch.from_numpy(answers.weights[0])).sum().backward()
    np.testing.assert_allclose(answers.gradients["3.weight"], module[3].weight.grad, rtol=1e-5)
    np.testing.assert_allclose(answers.buffers["1.running_mean"], module[1].running_mean, rtol=1e-6)
    assert answers.losses[1] < answers.losses[0]
    step = answers.parameters["3.bias"] - untrained["3.bias"].numpy()
    np.testing.assert_allclose(np.abs(step), 2e-3, rtol=1e-3)


def test_dropout_inside_of_layers_drops_nothing_in_answers():
    def forward(self, x):
        return self.rnn(self.attention(x, x, x)[0])[0]

    module = Calls(
        forward, attention=nn.MultiheadAttention(5, 1, dropout=0.9), rnn=nn.LSTM(5, 3, 2, dropout=0.9)
    )
    state = torch.random.get_rng_state()
    answers = module_answers(module, SEQUENCE)
    np.testing.assert_allclose(answers.trained[0], answers.evaluated[0], rtol=1e-5, atol=1e-7)
    assert torch.equal(torch.random.get_rng_state(), state)
