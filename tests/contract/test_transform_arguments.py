"""What goes into and comes out of the transforms: pairing by key, axes, argnums, integers, None."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque, namedtuple

import keras
import numpy as np
import pytest
from helpers.arrays import close, tensor
from keras import ops

import unikeras as uk
from unikeras.errors import ArgumentError, ArgumentValueError

pytestmark = pytest.mark.usefixtures("backend")

Point = namedtuple("Point", "b a")


B, A = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 10.0], [100.0, 1000.0]])


@pytest.mark.parametrize("kind", [dict, OrderedDict, lambda items: defaultdict(list, items)])
def test_axes_meet_the_leaves_of_their_keys(kind):
    data = kind([("b", tensor(B)), ("a", tensor(A))])
    for axes in (kind([("b", 0), ("a", 1)]), kind([("a", 1), ("b", 0)])):
        close(uk.vmap(lambda d: d["b"] * 10.0 + d["a"], in_axes=(axes,))(data), B * 10 + A.T)
    mapped = uk.vmap(lambda r: kind([("z", r), ("a", r * 2.0)]), out_axes=kind([("a", 0), ("z", 1)]))(
        tensor(B)
    )
    assert type(mapped) is type(data)
    close(mapped["z"], B.T)
    close(mapped["a"], B * 2)


def test_axes_of_other_containers():
    x = tensor(B)
    close(uk.vmap(lambda p: p.b * 10.0 + p.a, in_axes=(Point(0, 1),))(Point(x, tensor(A))), B * 10 + A.T)
    close(uk.vmap(lambda q: q[0] + q[1]["n"], in_axes=([0, {"n": -1}],))(deque([x, {"n": x}])), B + B.T)
    mapped = uk.vmap(lambda r, none, word: (r, none, {"d": r, "c": None}), in_axes=(0, None, None))(
        x, None, "w"
    )
    assert mapped[1] is None
    assert mapped[2]["c"] is None
    close(mapped[2]["d"], B)
    close(uk.vmap(lambda r: r, in_axes=np.int64(-1), out_axes=-1)(x), B)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: uk.vmap(ops.sum, out_axes=2)(tensor(B)), "no axis 2"),
        (lambda x: uk.vmap(lambda r: r, out_axes=2)(tensor(B)), r"shape \(2, 2\).*no axis 2"),
        (lambda x: uk.vmap(lambda r: r, out_axes=-3)(tensor(B)), "no axis -3"),
        (lambda x: uk.vmap(lambda r: r, out_axes=None)(x), "out_axes None"),
        (lambda x: uk.vmap(lambda r: r, out_axes=True)(x), "out_axes is True"),
        (lambda x: uk.vmap(lambda r: {"a": r}, out_axes={"b": 0})(x), "structure of the result"),
        (lambda x: uk.vmap(lambda r: r, in_axes=False)(x), "in_axes is False"),
        (lambda x: uk.vmap(lambda r: r, in_axes=(True,))(x), r"in_axes\[0\] is True"),
        (lambda x: uk.vmap(lambda r, s: r, in_axes=(5, -2))(x, x), r"no axis 5; argument 1 .*no axis -2"),
        (lambda x: uk.vmap(lambda r: r)(x[0]), "argument 0 is a scalar"),
        (lambda x: uk.vmap(lambda r: r)({"n": 3.0}), r"argument 0\['n'\] is a scalar"),
        (lambda x: uk.vmap(lambda r: r)("text"), "argument 0 is a str"),
        (lambda x: uk.vmap(lambda r: r)(tensor(np.ones((0, 2)))), "length 0"),
        (lambda x: uk.vmap(lambda r: "text")(x), "the result is a str"),
        (
            lambda x: uk.vmap(lambda d, e: e)({"a": x, "b": tensor(np.ones(3))}, x),
            r"\[2, 3\].*argument 0\['a'\] has 2 along axis 0, argument 0\['b'\] has 3.*argument 1 has 2",
        ),
    ],
)
def test_axes_that_do_not_fit_are_refused_by_name(call, words):
    with pytest.raises((ArgumentError, ArgumentValueError), match=words):
        call(tensor([1.0, 2.0]))


def weighted(d):
    return {"p": d["b"]["d"] * 10.0, "q": d["b"]["c"] * d["a"]}


def test_partners_are_found_by_key():
    x = {"b": {"d": tensor(1.0), "c": tensor(2.0)}, "a": tensor(3.0)}
    t = {"a": tensor(1.0), "b": {"c": tensor(10.0), "d": tensor(100.0)}}
    _, tangent = uk.jvp(weighted, (x,), (t,))
    close(tangent["p"], 1000.0)
    close(tangent["q"], 10.0 * 3.0 + 2.0)
    _, pullback = uk.vjp(weighted, x)
    (gradient,) = pullback(OrderedDict([("q", tensor(1.0)), ("p", 2.0)]))
    close(gradient["b"]["d"], 20.0)
    close(gradient["b"]["c"], 3.0)
    close(gradient["a"], 2.0)
    product = uk.hvp(lambda d: d["a"] * d["b"]["c"] ** 2 + 0.0 * d["b"]["d"], x, t)
    close(product["a"], 2 * 2.0 * 10.0)
    close(product["b"]["c"], 2 * 3.0 * 10.0 + 2 * 2.0)
    with uk.GradientTape() as tape:
        tape.watch(x)
        y = weighted(x)
    close(tape.gradient(y, x["b"]["d"], output_gradients={"q": None, "p": tensor(3.0)}), 30.0)


def pulled(weights):
    x = tensor([1.0, 2.0])
    return uk.vjp(lambda x: {"p": x * 2.0, "q": x}, x)[1](weights)


def taped(weights):
    x = tensor([1.0, 2.0])
    with uk.GradientTape() as tape:
        tape.watch(x)
        y = {"p": x * 2.0, "q": x * 1.0}
    return tape.gradient(y, x, output_gradients=weights)


def pushed(tangents):
    return uk.jvp(
        lambda d: d["p"] + d["q"], ({"p": tensor([1.0, 2.0]), "q": tensor([1.0, 2.0])},), (tangents,)
    )


def multiplied(vector):
    x = {"p": tensor([1.0, 2.0]), "q": tensor([1.0, 2.0])}
    return uk.hvp(lambda d: ops.sum(d["p"] * d["q"]), x, vector)


@pytest.mark.parametrize("call", [pulled, taped, pushed, multiplied])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"q": lambda x: x[0]}, [r"\['q'\] has shape \(\)", r"has shape \(2,\)"]),
        ({"p": lambda x: ops.cast(x, "float16")}, [r"\['p'\] has dtype float16", "float32"]),
        ({"p": lambda x: "text"}, [r"\['p'\] is a str"]),
        ({"p": lambda x: [x, x], "q": lambda x: x[:1]}, [r"\['p'\] is a list", r"\['q'\] has shape \(1,\)"]),
        ({"q": None, "r": lambda x: x}, [r"\['q'\] is missing", r"\['r'\] is not in"]),
    ],
)
def test_partners_that_do_not_match_are_all_named(call, change, words):
    x = tensor([1.0, 1.0])
    given = {key: change.get(key, lambda x: x) for key in ("p", "q", *change)}
    given = {key: make(x) for key, make in given.items() if make is not None}
    with pytest.raises(ArgumentError) as caught:
        call(given)
    for word in words:
        caught.match(word)


def test_arrays_and_numbers_take_the_dtype_that_is_wanted():
    value, tangent = uk.jvp(lambda x, y: x * y, (tensor([1.0, 2.0]), 3.0), (np.array([1, 0]), 1))
    close(value, [3.0, 6.0])
    close(tangent, [4.0, 2.0])
    with pytest.raises(ArgumentError, match=r"tangents\[0\] has dtype complex64"):
        uk.jvp(ops.sin, (tensor([1.0]),), (np.ones(1, "complex64"),))


@pytest.mark.parametrize(
    "transform",
    [
        lambda x: uk.grad(lambda x: x)(x),
        lambda x: uk.value_and_grad(lambda y, x: y, argnums=(0, 1))(1.0, x),
        lambda x: uk.jacobian(lambda x: x)(x),
        lambda x: uk.jacobian(lambda x: x, mode="forward")(x),
        lambda x: uk.hessian(lambda x: x)(x),
        lambda x: uk.vjp(lambda x: x, x),
        lambda x: uk.jvp(lambda x: x, (x,), (x,)),
        lambda x: uk.hvp(lambda x: x, x, x),
    ],
)
def test_integers_have_no_gradient(transform):
    for value in (
        3,
        True,
        np.int64(3),
        np.array([1, 2]),
        tensor([1, 2], "int32"),
        [1.0, {"n": tensor(True, "bool")}],
    ):
        with pytest.raises(
            ArgumentError, match=r"(argument|primals|x).*(of type|of dtype).*floating"
        ) as caught:
            transform(value)
        assert "keras.ops.cast" in str(caught.value)


def test_argnums():
    def f(a, b):
        return a * b * b

    close(uk.grad(f, argnums=np.int64(1))(2.0, 3.0), 12.0)
    close(uk.jacobian(f, argnums=[-1])(2.0, 3.0)[0], 12.0)
    for transform in (uk.grad, uk.value_and_grad, uk.jacobian, uk.hessian):
        cases = [(ArgumentError, wrong) for wrong in (True, "0", 1.0, None, (0, False))]
        cases += [(ArgumentValueError, wrong) for wrong in ((), (0, 0), (0, -2), 2, (5, 0, -3))]
        for error, argnums in cases:
            with pytest.raises(error, match="argnums"):
                transform(f, argnums=argnums)(2.0, 3.0)


@pytest.mark.parametrize("transform", [uk.grad, uk.value_and_grad, uk.jacobian])
@pytest.mark.parametrize(
    ("result", "words"),
    [
        (lambda x: (), "holds no tensor"),
        (lambda x: 1.0, "returned a float"),
        (lambda x: None, "returned a NoneType"),
        (lambda x: ops.cast(x, "int32"), "dtype int32"),
    ],
)
def test_results_without_a_derivative_are_refused(transform, result, words):
    with pytest.raises(ArgumentError, match=words):
        transform(result)(2.0)


def test_none_stays_where_it_is():
    def f(d, extra):
        assert d["n"] is None
        assert extra is None
        return {"y": d["x"] ** 2, "n": None}

    d = {"x": tensor(3.0), "n": None}
    gradient, second = uk.grad(f, argnums=(0, 1))(d, None)
    assert gradient["n"] is None
    assert second is None
    close(gradient["x"], 6.0)
    value, pullback = uk.vjp(f, d, None)
    assert value["n"] is None
    gradient, second = pullback({"y": tensor(2.0), "n": None})
    assert gradient["n"] is None
    assert second is None
    close(gradient["x"], 12.0)
    value, tangent = uk.jvp(f, (d, None), ({"n": None, "x": tensor(1.0)}, None))
    assert tangent["n"] is None
    close(tangent["y"], 6.0)
    jacobian = uk.jacobian(f)(d, None)
    assert jacobian["n"] is None
    assert jacobian["y"]["n"] is None
    close(jacobian["y"]["x"], 6.0)


def test_a_jvp_needs_something_to_differentiate():
    with pytest.raises(ArgumentError, match="hold no tensor"):
        uk.jvp(lambda: ops.ones(()), (), ())


def test_a_check_takes_structures_and_leaves_integers_alone():
    report = uk.check_gradients(
        lambda d, n: {"y": d["b"]["d"] * d["a"] ** 2, "z": ops.take(d["a"], n)},
        {"b": {"d": tensor([1.0, 2.0]), "c": None}, "a": tensor([3.0, 4.0])},
        tensor([0, 1], "int32"),
    )
    assert report, str(report)
    assert [one.leaf for one in report.worst] == [0, 1]


def test_variables_of_a_gradient_are_checked():
    with pytest.raises(ArgumentError, match=r"variables\[1\] is a list; .*"):
        uk.grad(lambda: 1.0, variables=[keras.Variable(1.0), []])()
