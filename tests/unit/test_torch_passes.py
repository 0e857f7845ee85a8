"""Passes over a graph of ATen operators: each removes what it says, changes no result, and keeps what is needed."""

from __future__ import annotations

import keras
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
if keras.backend.backend() != "torch":
    pytest.skip("graphs of ATen operators are traced under PyTorch only", allow_module_level=True)

from helpers.torch_graphs import copied, count, run, traced, ulps  # noqa: E402

from unikeras.backends.torch import passes  # noqa: E402

A = torch.ops.aten
LAST = torch.channels_last
torch.manual_seed(0)
X, Y, W = torch.randn(4, 6), torch.randn(4, 6), torch.randn(6, 5)
IMAGES = torch.randn(2, 5, 5, 3)
KERNEL, BIAS = torch.randn(3, 3, 3, 4), torch.randn(4)


def only(name):
    return [other for other in passes.NAMES if other not in (name, "dead_code")]


def simplified(f, *inputs, skip=()):
    """Return what the passes did to a function's graph and the new graph, after comparing results."""
    graph = traced(f, *inputs)
    new = copied(graph)
    done = passes.simplify(new.graph, skip)
    new.recompile()
    bound = 4 if passes.REORDERS - set(skip) else 0
    for value, expected in zip(run(new, inputs), run(graph, inputs), strict=True):
        assert value.stride() == expected.stride()
        assert ulps([value], [expected]) <= bound
    return done, new


def convolved(x, w):
    return torch.conv2d(x.permute(0, 3, 1, 2), w.permute(3, 2, 0, 1)).permute(0, 2, 3, 1)


# pass -> function, inputs, how many nodes it removes or changes
FOUND = {
    "detach": (lambda x: x.detach().relu().detach() + 1, [X], 2),
    "copies": (lambda x: (x + 1).clone() * 2, [X], 1),
    "casts": (lambda x: A._to_copy(A._to_copy(x + 1, dtype=torch.float64), dtype=torch.float32) * 2, [X], 1),
    "permutes": (lambda x: x.permute(0, 3, 1, 2).permute(0, 2, 3, 1) * 2, [IMAGES], 1),
    "views": (lambda x: x.view(6, 4).unsqueeze(0).squeeze(0).view(2, 12).view(24) * 2, [X], 4),
    "constants": (lambda x: x * (torch.ones(4, 6) + torch.arange(6)), [X], 1),
    "common": (lambda x: x.exp() + x.exp() * x.exp(), [X], 2),
    "layout_copies": (lambda x: torch.max_pool2d(x.permute(0, 3, 1, 2).contiguous(), 2), [IMAGES], 1),
    "single_products": (lambda x, w: torch.bmm(x[None], w[None]), [X, W], 1),
    "convolution_bias": (lambda x, w, b: convolved(x, w) + b, [IMAGES, KERNEL, BIAS], 1),
    "product_bias": (lambda x, w, b: (x @ w).view(2, 2, 5) + b, [X, W, W[0]], 1),
    "dead_code": (lambda x: (x.exp(), x.sin())[1], [X], 1),
    "transposed_copies": (lambda w: w.permute(3, 2, 0, 1).contiguous(memory_format=LAST) * 2, [KERNEL], 1),
    "buffers": (lambda x, y: ((x * y).relu() + y).exp().sum(), [X, Y], 3),
}


def test_every_pass_is_tried_here():
    assert set(FOUND) == set(passes.NAMES)
    assert set(passes.NAMES) >= passes.REORDERS


@pytest.mark.parametrize("name", FOUND)
def test_a_pass_alone_removes_what_it_says(name):
    f, inputs, removed = FOUND[name]
    graph = traced(f, *inputs)
    if name == "dead_code":
        graph = traced(lambda x: f(x), *inputs)
        with graph.graph.inserting_before(next(iter(reversed(graph.graph.nodes)))):
            graph.graph.call_function(A.exp.default, (next(iter(graph.graph.nodes)),))
    new = copied(graph)
    done = passes.simplify(new.graph, only(name))
    new.recompile()
    assert done[name] == removed
    assert ulps(run(new, inputs), run(graph, inputs)) <= (4 if name in passes.REORDERS else 0)


@pytest.mark.parametrize("name", FOUND)
def test_a_pass_can_be_skipped(name):
    f, inputs, _ = FOUND[name]
    assert name not in simplified(f, *inputs, skip=[name])[0]


def test_all_passes_off_leave_the_graph():
    done, graph = simplified(FOUND["buffers"][0], X, Y, skip=passes.NAMES)
    assert done == {}
    assert count(graph, A.relu.default) == 1


def written_later(x):
    old = x.clone()
    x.mul_(2)
    return old * 3


def written_itself(x):
    copy = x.view(24).clone()
    copy.add_(1)
    return copy * x.view(24)


def written_through_a_view(x):
    base = x * 1
    copy = base.clone()
    base.view(24)[3:].zero_()
    return copy + base


def written_in_a_list(x, y):
    old = [x.detach().clone(), y.clone()]
    torch._foreach_mul_([x, y.view(24)], 3)
    return old[0] + old[1]


def cast_then_written(x):
    old = A._to_copy(x, dtype=torch.float32)
    x.add_(1)
    return old + 0


def layout_then_written(x):
    copy = x.permute(0, 3, 1, 2).contiguous()
    x.mul_(2)
    return torch.max_pool2d(copy, 2)


def read_before_and_after(x):
    flat = x.view(24)  # a write to x itself would give it another node
    before = flat.sum()
    x.mul_(2)
    return before * 3 + flat.sum()


def equal_buffers_of_which_one_is_written(x):
    first, second = x.exp(), x.exp()
    first.add_(1)
    return first + second


def constant_that_is_written(x):
    total = torch.zeros(6)
    total.add_(x.sum(0))
    return total * 2


def bias_that_changes(x, w, b):
    product = x @ w
    x.zero_()
    return product + b


def used_later(x):
    y = x + 1
    return y.relu() + y


def product_used_twice(x, w, b):
    product = x @ w
    return product + b, product * 2


def into_a_wider_cast(x):
    return A._to_copy(A._to_copy(x, dtype=torch.float16), dtype=torch.float32) * 2


def returned_as_it_came(x):
    return x.detach()


def moved_and_returned(x):
    return x.permute(0, 3, 1, 2).contiguous().relu()


def through_a_view_of_one_layout(x):
    return x.permute(0, 3, 1, 2).contiguous().view(2, -1) * 2


STATISTICS = [torch.randn(6), torch.randn(6), torch.rand(6), torch.rand(6)]


def statistics_of_a_batch(x, w, b, mean, variance):
    old = mean.clone()
    out = A.native_batch_norm(x, w, b, mean, variance, True, 0.1, 1e-3)[0]
    return out, old * 2


# name -> function, inputs, the operator that must stay, how often
NEEDED = {
    "clone of a value that is written later": (written_later, [X], A.clone.default, 1),
    "clone that is written": (written_itself, [X], A.clone.default, 1),
    "clone of a value written by a view": (written_through_a_view, [X], A.clone.default, 1),
    "clones of values written in a list": (written_in_a_list, [X, Y], A.clone.default, 2),
    "cast to the same dtype as a copy": (cast_then_written, [X], A._to_copy.default, 1),
    "clone of the layout, then written": (layout_then_written, [IMAGES], A.clone.default, 1),
    "sum before and after a write": (read_before_and_after, [X], A.sum.default, 2),
    "equal values, one of them written": (equal_buffers_of_which_one_is_written, [X], A.exp.default, 2),
    "constant that is written": (constant_that_is_written, [X], A.zeros.default, 1),
    "bias behind a write": (bias_that_changes, [X, W, W[0]], A.mm.default, 1),
    "bias of another shape": (lambda x, w, b: x @ w + b, [X, W, X[:, :1]], A.mm.default, 1),
    "bias along rows of a square": (lambda x, b: x @ x + b[:, None], [X[:, :4], BIAS], A.mm.default, 1),
    "product used twice": (product_used_twice, [X, W, W[0]], A.mm.default, 1),
    "bias that is not one per channel": (
        lambda x, w, b: convolved(x, w) + b,
        [IMAGES, KERNEL, torch.randn(3, 1)],
        A.add_.Tensor,
        1,
    ),
    "permutes that do not cancel": (
        lambda x: x.permute(0, 3, 1, 2).permute(0, 3, 1, 2) * 2,
        [IMAGES],
        A.permute.default,
        1,
    ),
    "cast that changes the dtype": (into_a_wider_cast, [X], A._to_copy.default, 2),
    "memory that is used later": (used_later, [X], A.relu.default, 1),
    "memory of an input": (lambda x: x.relu() * 2, [X], A.relu.default, 1),
    "memory of another shape": (lambda x, b: (b * 2) + x, [X, X[:1]], A.add.Tensor, 1),
    "input that is returned": (returned_as_it_came, [X], A.detach.default, 1),
    "running statistics": (statistics_of_a_batch, [X, *STATISTICS], A.clone.default, 1),
    "random draws": (lambda x: torch.rand_like(x) == torch.rand_like(x), [X], A.rand_like.default, 2),
    "strides of a result": (moved_and_returned, [IMAGES], A.contiguous.default, 1),
    "view of one layout": (through_a_view_of_one_layout, [IMAGES], A.clone.default, 1),
}


@pytest.mark.parametrize("case", NEEDED)
def test_what_is_needed_stays(case):
    f, inputs, target, times = NEEDED[case]
    _, graph = simplified(f, *inputs)
    assert count(graph, target) == times


def test_one_tensor_may_be_passed_twice():
    def f(x, y):
        old = x.clone()
        y.mul_(2)
        return old + 1

    _, graph = simplified(f, X, Y)
    value = X.clone()
    assert torch.equal(graph(value, value), X + 1)


def test_a_view_whose_strides_forbid_it_becomes_a_reshape():
    def f(x):
        return (x.permute(0, 3, 1, 2).contiguous() * 2).view(2, -1) + 1

    done, graph = simplified(f, IMAGES)
    assert done["layout_copies"] == 1
    assert count(graph, A.reshape.default) == 1


def test_channels_that_come_last_are_not_viewed_as_if_they_came_first():
    # Without the copy, the result has its channels last; fake tensors allow a view of it that mixes axes.
    def pooled(x):
        channels_first = (x * 2).permute(0, 2, 1).contiguous()
        return torch.nn.functional.adaptive_avg_pool1d(channels_first, 3).permute(0, 2, 1) * 2

    done, _ = simplified(pooled, torch.randn(2, 5, 4))
    assert done["layout_copies"] == 1


def test_a_view_is_not_copied_where_it_is_written_later():
    def f(x):
        y = x.permute(0, 3, 1, 2).contiguous() * 2
        flat = y.view(2, -1)
        y.add_(1)
        return flat + 1

    _, graph = simplified(f, IMAGES)
    assert count(graph, A.reshape.default) == 0


def test_what_is_not_used_is_freed():
    graph = traced(lambda x: x.exp().sin().sum(), X)
    assert graph.code.count("= None") >= 3


UNARY = [
    torch.relu,
    torch.sin,
    torch.neg,
    lambda x: x.clone(),
    lambda x: x.detach(),
    lambda x: x.float(),
    torch.sigmoid,
]
VIEWS = [
    lambda x: x.t(),
    lambda x: x.reshape(-1).reshape(x.shape),
    lambda x: x.unsqueeze(0).permute(0, 2, 1).squeeze(0),
    lambda x: x.t().contiguous(),
    lambda x: x.expand(4, 4),
]
BINARY = [torch.add, torch.mul, torch.sub, torch.mm, lambda x, y: torch.addmm(x, x, y)]
# What is written never shares memory with what is read: torch refuses that, and a trace does not see it.
WRITES = [
    lambda x, y: x.add_(y + 1),
    lambda x, y: x.copy_(y * 2),
    lambda x, y: x.t().mul_(y + 1),
    lambda x, y: torch._foreach_mul_([x, y], 0.5),
    lambda x, y: x.select(0, 1).zero_(),
]
CALLS = st.tuples(
    st.sampled_from([(f, 1) for f in UNARY + VIEWS] + [(f, 2) for f in BINARY] + [(f, 0) for f in WRITES]),
    st.integers(0, 100),
    st.integers(0, 100),
)


@settings(max_examples=10, deadline=None)
@given(st.lists(CALLS, min_size=4, max_size=14), st.integers(1, 3))
def test_random_graphs_compute_the_same(calls, returned):
    inputs = [torch.randn(4, 4, generator=torch.Generator().manual_seed(i)) * 0.5 for i in range(3)]

    def f(*values):
        values = list(values)
        for (call, arguments), first, second in calls:
            chosen = [values[index % len(values)] for index in (first, second)]
            result = call(*chosen[: arguments or 2])
            if arguments:
                values.append(torch.tanh(result) if call in BINARY else result)
        return values[-returned:]

    graph = traced(f, *inputs)
    for skip in (passes.REORDERS, ()):
        new = copied(graph)
        passes.simplify(new.graph, skip)
        new.recompile()
        for value, expected in zip(run(new, inputs), run(graph, inputs), strict=True):
            torch.testing.assert_close(value, expected, rtol=0, atol=0 if skip else 1e-4)
