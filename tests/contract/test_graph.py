"""`uk.graph`: the layers of a model, the program of a function or a step, and what eager code recorded."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree

import keras
import numpy as np
import pytest
from keras import layers, ops

import unikeras as uk
from unikeras.errors import ArgumentError, ArgumentValueError, TraceError

pytestmark = pytest.mark.usefixtures("backend")

X, Y = np.ones((4, 8, 8, 1), "float32"), np.zeros(4, "int32")


@pytest.fixture(scope="module")
def cnn():
    inputs = keras.Input((8, 8, 1), name="pixels")
    x = layers.Conv2D(4, 3, activation="relu", name="conv")(inputs)
    x = layers.Flatten(name="flat")(layers.MaxPooling2D(name="pool")(x))
    head = keras.Sequential([keras.Input((36,)), layers.Dense(3, name="classes")], name="head")
    model = uk.Model(inputs, head(x), name="cnn")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(name="adam"), loss, metrics=["accuracy"])
    return model


@pytest.fixture(scope="module")
def step(cnn):
    before = [variable.numpy() for variable in cnn.variables]
    drawing = uk.graph(cnn, (X, Y), step="train")
    for value, variable in zip(before, cnn.variables, strict=True):
        np.testing.assert_array_equal(value, variable.numpy())
    return drawing


def named(drawing, kind):
    return [node.name for node in drawing.graph.nodes if node.kind == kind]


def test_the_layers_are_the_same_on_each_backend(cnn):
    """The expected graph is written here, so that three runs compare three backends with it."""
    drawing = uk.graph(cnn)
    nodes = [
        (n.kind, n.name, n.operator, n.shape, n.dtype, n.scope, n.is_bookkeeping) for n in drawing.graph.nodes
    ]
    f = "float32"
    assert nodes == [
        ("input", "pixels", "", (None, 8, 8, 1), f, (), False),
        ("operation", "conv", "Conv2D", (None, 6, 6, 4), f, (), False),
        ("operation", "pool", "MaxPooling2D", (None, 3, 3, 4), f, (), False),
        ("operation", "flat", "Flatten", (None, 36), f, (), True),
        ("operation", "classes", "Dense", (None, 3), f, ("head",), False),
        ("output", "result 0", "", (None, 3), f, (), False),
    ]
    assert [(edge.source, edge.target) for edge in drawing.graph.edges] == [
        (f"n{number}", f"n{number + 1}") for number in range(5)
    ]
    assert drawing.text.splitlines() == [
        "cnn",
        "  pixels: float32 (?, 8, 8, 1)",
        "  conv: float32 (?, 6, 6, 4) <- pixels",
        "  pool: float32 (?, 3, 3, 4) <- conv",
        "  head/",
        "    classes: float32 (?, 3) <- pool",
        "  result 0: float32 (?, 3) <- classes",
        "  (1 casts, reshapes, reads and small constants are left out)",
    ]


def test_a_function_has_arguments_results_and_stores():
    total = keras.Variable(np.zeros(3, "float32"), trainable=False, name="total")

    @uk.function
    def add(x):
        total.assign(total + x)
        return ops.sin(x)

    graph = uk.graph(add, np.ones(3, "float32")).graph
    nodes = {node.id: node for node in graph.nodes}
    assert [n.shape for n in graph.nodes if n.kind == "input"] == [(3,)]
    assert [n.shape for n in graph.nodes if n.kind == "output"] == [(3,)]
    assert [n.name for n in graph.nodes if n.kind == "variable"] == ["total"]
    written = [edge for edge in graph.edges if edge.writes]
    assert [nodes[edge.target].name for edge in written] == ["total"]
    (sine,) = (n for n in graph.nodes if "sin" in n.operator.lower())
    assert {nodes[e.source].kind for e in graph.edges if e.target == sine.id} == {"input"}
    assert (sine.shape, sine.dtype) == ((3,), "float32")
    assert not np.any(total.numpy())
    assert add.trace_count == 0


def test_a_function_of_any_kind_is_drawn():
    drawing = uk.graph(lambda x, scale: ops.exp(x) * scale, np.ones(3, "float32"), scale=2.0)
    assert any("exp" in node.operator.lower() for node in drawing.graph.nodes)


def test_a_program_that_exists_is_the_one_that_is_drawn():
    double = uk.function(lambda x: x + x)
    double(np.ones(3, "float32"))
    assert uk.graph(double, np.ones(3, "float32")).graph == double.programs[0].graph()


def test_a_call_for_which_there_is_a_program_has_layers_too():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, name="dense")], name="net")
    f, x = uk.function(model), np.ones((4, 3), "float32")
    f(x)
    assert ("net", "dense") in {node.scope for node in uk.graph(f, x).graph.nodes}
    assert f.trace_count == 1


def test_a_train_step_has_layers_their_gradients_and_the_optimizer(cnn, step):
    graph = step.graph
    scopes = {node.scope for node in graph.nodes if node.kind == "operation"}
    assert {("cnn", "conv"), ("cnn", "pool")} <= {scope[:2] for scope in scopes}
    assert ("cnn", "head", "classes") in {scope[:3] for scope in scopes}
    assert {"gradient", "adam"} <= {scope[0] for scope in scopes if scope}
    stores = {node.name: node.id for node in graph.nodes if node.kind == "variable"}
    written = {edge.target for edge in graph.edges if edge.writes}
    assert {stores[variable.path] for variable in cnn.trainable_variables} <= written
    assert [node.shape for node in graph.nodes if node.kind == "input"] == [(4, 8, 8, 1), (4,)]


@pytest.mark.parametrize("name", ["test", "predict"])
def test_other_steps_write_no_weights(cnn, name):
    graph = uk.graph(cnn, (X, Y), step=name).graph
    paths = {variable.path for variable in cnn.trainable_variables}
    weights = {node.id for node in graph.nodes if node.name in paths}
    assert len(weights) == len(paths)
    assert not weights & {edge.target for edge in graph.edges if edge.writes}


def test_a_sequential_without_an_input_shape_is_drawn_for_an_example():
    model = keras.Sequential([layers.Dense(2, name="first"), layers.Dense(1, name="second")])
    with pytest.raises(ArgumentValueError, match="has no graph of layers"):
        uk.graph(model)
    names = [node.name for node in uk.graph(model, np.ones((4, 3), "float32")).graph.nodes]
    assert [name for name in names if name in ("first", "second")] == ["first", "second"]


def test_a_keras_model_has_steps_too():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    drawing = uk.graph(model, (np.ones((4, 3), "float32"), np.ones((4, 1), "float32")), step="train")
    assert "variable" in {node.kind for node in drawing.graph.nodes}


def test_functions_of_any_form():
    """Without operations, without arguments, with nested results, with an argument of any name, with a call inside."""
    inner = uk.function(lambda x: {"b": x + 1.0, "a": (x, [x * 2.0])})
    cases = {
        (1, 1): uk.graph(lambda x: x, np.ones(3, "float32")),
        (0, 1): uk.graph(lambda: ops.ones(3)),
        (1, 0): uk.graph(lambda x: None, np.ones(3, "float32")),
        (1, 3): uk.graph(lambda x: inner(x), np.ones(3, "float32")),
        (2, 1): uk.graph(lambda batch: batch["<b>\n"] + batch["ü"], {"<b>\n": np.ones(3), "ü": np.ones(3)}),
    }
    for (inputs, outputs), drawing in cases.items():
        assert (len(named(drawing, "input")), len(named(drawing, "output"))) == (inputs, outputs)
        ElementTree.fromstring(drawing.svg)
        assert drawing.text
        assert drawing.html


def test_an_axis_of_any_size():
    double = uk.function(lambda x: x * 2.0)
    for size in (2, 3, 4):
        double(np.ones((size, 3), "float32"))
    drawing = uk.graph(double, np.ones((5, 3), "float32"))
    (shape,) = {node.shape for node in drawing.graph.nodes if node.kind == "input"}
    assert shape == ((5, 3) if uk.backend() == "jax" else (None, 3))


def test_a_function_that_fails_has_changed_nothing():
    total = keras.Variable(np.zeros(3, "float32"), trainable=False, name="total")
    made = []

    def fail(x):
        total.assign(total + x)
        made.append(1)
        raise RuntimeError("on purpose")

    for _ in range(2):
        with pytest.raises(RuntimeError, match="on purpose"):
            uk.graph(fail, np.ones(3, "float32"))
    assert not np.any(total.numpy())
    layer = layers.Dense(2)
    layer.build((None, 3))
    step = uk.function(layer)
    uk.graph(step, np.ones((4, 3), "float32"))
    assert step.trace_count == 0
    assert step(np.ones((4, 3), "float32")).shape == (4, 2)


def test_a_model_that_was_never_built_stays_so():
    model = uk.Model.from_keras(keras.Sequential([layers.Dense(2, name="dense")]))
    model.compile("sgd", "mse")
    drawing = uk.graph(model, (np.ones((4, 3), "float32"), np.ones((4, 2), "float32")), step="train")
    assert any("dense" in scope for scope in (node.scope for node in drawing.graph.nodes))


def test_control_flow_holds_graphs():
    def loop(x):
        return ops.while_loop(lambda i, x: ops.sum(x) < 10, lambda i, x: (i + 1, x * 2), (ops.zeros(()), x))

    drawing = uk.graph(loop, np.ones(3, "float32"))
    (node,) = (node for node in drawing.graph.nodes if node.kind == "control flow")
    assert len(node.graphs) == 2
    inside = [inner.operator.lower() for _, graph in node.graphs for inner in graph.nodes]
    assert any("mul" in operator for operator in inside)
    assert any("sum" in operator for operator in inside)
    assert any("mul" in line for line in drawing.text.splitlines())


def test_a_model_without_a_graph_needs_an_example():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(2, name="dense")

        def call(self, x):
            return ops.relu(self.dense(x))

    model = Own()
    assert named(uk.graph(model, np.ones((4, 3), "float32")), "operation")[0] == "dense"
    with pytest.raises(ArgumentValueError, match=r"uk.graph\(model, x\)"):
        uk.graph(model)


def test_recorded_eager_code():
    weight = keras.Variable(np.ones(3, "float32"), name="weight")
    value = ops.sum(ops.exp(weight * 2.0))
    if uk.backend() != "torch":
        with pytest.raises(ArgumentError, match=r"uk.graph\(f, x\)"):
            uk.graph(value)
        return
    drawing = uk.graph(value)
    assert named(drawing, "variable") == ["weight"]
    assert named(drawing, "operation") == ["Mul", "Exp", "Sum"]


def test_names_are_text_in_each_form(tmp_path):
    name = "a<script>alert(1)</script>&\"'"
    inputs = keras.Input((3,), name="x")
    model = keras.Model(inputs, layers.Dense(1, name=name.replace("/", "|"))(inputs), name="<script><b>")
    drawing = uk.graph(model)
    for html in (drawing.html, drawing.svg, drawing._repr_html_()):
        assert "<script>alert" not in html
        assert "<script><b>" not in html
    ElementTree.fromstring(drawing.svg)


def test_a_drawing_is_saved_by_suffix(step, tmp_path):
    for suffix in (".html", ".svg", ".txt", ".json"):
        assert step.save(tmp_path / f"graph{suffix}").stat().st_size > 1000
    assert json.loads((tmp_path / "graph.json").read_text())["nodes"][0]["kind"] == "input"
    html = (tmp_path / "graph.html").read_text()
    assert "http://" not in html.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in html
    ElementTree.parse(tmp_path / "graph.svg")
    with pytest.raises(ArgumentValueError, match=r"\.html, \.svg, \.txt, \.json"):
        step.save(tmp_path / "graph.png")


def test_many_nodes_are_closed_by_scope():
    inputs = keras.Input((4,))
    x = inputs
    for block in range(10):
        inner = keras.Input((4,))
        y = inner
        for number in range(20):
            y = layers.ReLU(name=f"relu_{block}_{number}")(y)
        x = keras.Model(inner, y, name=f"block_{block}")(x)
    drawing = uk.graph(keras.Model(inputs, x))
    assert len(drawing.graph.nodes) == 202
    assert len(drawing.text.splitlines()) == 13
    assert "block_0/: 20 nodes" in drawing.text


def test_wrong_requests_say_what_is_right(cnn):
    with pytest.raises(ArgumentValueError, match="'train', 'test', 'predict'"):
        uk.graph(cnn, (X, Y), step="fit")
    with pytest.raises(ArgumentValueError, match="one batch"):
        uk.graph(cnn, step="train")
    with pytest.raises(ArgumentValueError, match="step='train'"):
        uk.graph(cnn, X, Y)
    with pytest.raises(ArgumentError, match=r"keras\.Model"):
        uk.graph(lambda x: x, X, step="train")
    with pytest.raises(ArgumentError, match="received int"):
        uk.graph(3)
    with pytest.raises(ArgumentValueError, match="example"):
        uk.graph(lambda x: x)
    plain = keras.Sequential([keras.Input((3,)), layers.Dense(1)])
    with pytest.raises(ArgumentValueError, match="not compiled"):
        uk.graph(plain, (X, Y), step="train")
    plain.compile("sgd", "mse", run_eagerly=True)
    with pytest.raises(ArgumentValueError, match="run_eagerly"):
        uk.graph(plain, (X, Y), step="train")
    with pytest.raises(TraceError):
        uk.graph(lambda x: x if float(ops.sum(x)) else -x, X)
