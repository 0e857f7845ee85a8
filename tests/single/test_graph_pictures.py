"""Pictures of graphs: what is left out, what is closed, where boxes stand, and that names stay text."""

from __future__ import annotations

import itertools
import json
import re
import xml.etree.ElementTree as ElementTree

import pytest

from unikeras._specs.graph_nodes import GraphBuilder
from unikeras.drawing import Drawing
from unikeras.drawing._folded import folded
from unikeras.drawing._graph_picture import COLORS
from unikeras.drawing._graphviz_layout import graphviz_layout
from unikeras.drawing._layered_layout import layered
from unikeras.errors import ArgumentValueError


def step(blocks=3):
    """Return a graph with a store, layers, bookkeeping and a loop."""
    graph = GraphBuilder()
    value = graph.add("input", "x", shape=(2, 3), dtype="float32")
    for block in range(blocks):
        scope = ("net", f"block{block}")
        weight = graph.add("variable", f"block{block}/kernel", scope=(f"block{block}",))
        cast = graph.add("operation", "cast", [value], is_bookkeeping=True, scope=scope)
        shape = graph.add("constant", "shape", shape=(2,), dtype="int32", scope=scope)
        value = graph.add("operation", "matmul", [cast, weight, shape], scope=scope, shape=(2, None))
        graph.connect(value, weight, writes=True)
    body = GraphBuilder()
    body.add("output", "y", [body.add("operation", "double", [body.add("input", "c")])])
    loop = graph.add("control flow", "while", [value], graphs=(("body", body.build()),))
    graph.add("output", "y", [loop])
    return graph.build()


def test_what_bookkeeping_took_goes_where_it_led():
    seen = folded(step(1))
    names = {box.id: box.name for box in seen.boxes}
    assert [(names[e.source], names[e.target]) for e in seen.edges if not e.writes] == [
        ("x", "matmul"), ("block0/kernel", "matmul"), ("matmul", "while"), ("while", "y"),
        ("c", "double"), ("double", "y"), ("while", "c"),
    ]  # fmt: skip
    assert [(names[e.source], names[e.target]) for e in seen.edges if e.writes] == [
        ("matmul", "block0/kernel")
    ]
    assert seen.hidden == 2


def test_a_variable_stands_beside_its_layer_and_a_loop_has_scopes():
    scopes = {box.name: box.scope for box in folded(step(1)).boxes}
    assert scopes["block0/kernel"] == ("net", "block0")
    assert scopes["double"] == ("while: body",)


def test_what_computes_a_metric_stands_with_its_state():
    graph = GraphBuilder()
    x = graph.add("input", "x")
    total = graph.add("variable", "loss/total", scope=("loss",))
    new = graph.add("operation", "add", [total, graph.add("operation", "sum", [x])])
    graph.connect(new, total, writes=True)
    one = graph.add("operation", "ones", is_bookkeeping=True)
    graph.add("output", "y", [graph.add("operation", "divide", [new, one])])
    graph.add("output", "z", [graph.add("operation", "exp", [x])])
    scopes = {box.label: box.scope for box in folded(graph.build()).boxes}
    assert [label for label, scope in scopes.items() if scope == ("loss",)] == [
        "total",
        "sum",
        "add",
        "divide",
    ]


def test_layers_of_a_block_are_one_scope():
    graph = GraphBuilder()
    x = graph.add("operation", "relu", scope=("net", "conv2_block1_1_relu"))
    graph.add("operation", "conv2_block1_out", [x])
    assert [box.scope for box in folded(graph.build()).boxes] == [
        ("net", "conv2_block1", "conv2_block1_1_relu"),
        ("conv2_block1",),
    ]


def test_small_scopes_are_open_and_those_of_one_size_together():
    graph = GraphBuilder()
    for size, name in ((1, "a"), (3, "b"), (3, "c"), (40, "d")):
        for _ in range(size):
            graph.add("operation", "f", scope=(name,))
    closed = {
        most: [b.name for b in folded(graph.build(), most).boxes if b.kind == "scope"] for most in (5, 20)
    }
    assert closed == {5: ["b", "c", "d"], 20: ["d"]}


def test_a_picture_has_the_colors_of_its_page():
    svg = re.sub("<style>.*?</style>", "", Drawing(step(), "t").svg)
    assert 'fill="currentColor"' in svg
    assert set(re.findall(r'<text[^>]* fill="([^"]*)"', svg)) == {COLORS["scope"]}
    assert len(re.findall('<rect[^>]*fill="#fff"', svg)) == 1  # of the mask, which nobody sees


def test_scopes_close_from_the_inside_until_few_boxes_are_left():
    seen = folded(step(40), most=50)
    closed = [box for box in seen.boxes if box.kind == "scope"]
    assert len(seen.boxes) <= 50
    assert {box.scope for box in closed if box.name.startswith("block")} == {("net",)}
    assert all(box.detail == "2 nodes" for box in closed if box.name.startswith("block"))


def test_what_belongs_to_no_layer_is_closed_too():
    graph = GraphBuilder()
    value = graph.add("input", "x")
    for _ in range(500):
        value = graph.add("operation", "add", [value])
    assert [box.name for box in folded(graph.build()).boxes] == ["x", "outside of layers"]


def overlap(a, b):
    return a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]


def test_boxes_do_not_overlap_and_stand_in_their_frames():
    seen = folded(step(8))
    layout = layered(seen)
    assert not [pair for pair in itertools.combinations(layout.boxes.values(), 2) if overlap(*pair)]
    for box in seen.boxes:
        x, y, width, height = layout.boxes[box.id]
        assert min(x, y) >= 0
        assert x + width <= layout.width
        assert y + height <= layout.height
        for scope, frame in layout.frames.items():
            inside = box.scope[: len(scope)] == scope
            assert overlap((x, y, width, height), frame) == inside, (box, scope)


def test_what_takes_a_value_stands_below_it():
    seen = folded(step(8))
    layout = layered(seen)
    for edge in seen.edges:
        assert edge.writes or layout.boxes[edge.source][1] < layout.boxes[edge.target][1]


def fake_dot(folder, monkeypatch, script):
    program = folder / "dot"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return program


def test_dot_lays_out_where_it_is_installed(tmp_path, monkeypatch):
    lines = "graph 1 4 6\\nnode b0 1 5 1 1\\nnode b1 1 3 1 1\\nnode b2 3 1 1 1\\nnode b3 3 2 1 1\\nstop\\n"
    fake_dot(tmp_path, monkeypatch, f'cat > {tmp_path}/given; printf "{lines}"')
    graph = GraphBuilder()
    x = graph.add("input", 'x"]; evil [label="')
    y = graph.add("operation", "f", [x], scope=("a",))
    z = graph.add("operation", "g", [y], scope=("a", "b"))
    graph.add("output", "y", [z])
    seen = folded(graph.build())
    layout = graphviz_layout(seen)
    tops = [layout.boxes[box.id][1] for box in seen.boxes]
    assert tops[0] < tops[1] < tops[3] < tops[2]
    assert layout.frames.keys() == {("a",), ("a", "b")}
    given = (tmp_path / "given").read_text()
    assert "evil" not in given
    assert given.count("{") == given.count("}") == 3
    assert "b0 -> b1" in given


@pytest.mark.parametrize("script", ["exit 1", "echo nonsense", "echo graph 1 2 3"])
def test_a_dot_that_fails_is_not_needed(tmp_path, monkeypatch, script):
    fake_dot(tmp_path, monkeypatch, script)
    assert graphviz_layout(folded(step())) is None
    ElementTree.fromstring(Drawing(step(), "t").svg)


def test_names_are_text_in_each_form():
    graph = GraphBuilder()
    graph.add("operation", "</script><script>alert(1)</script>", operator="<i>", scope=("<b>&", "\x1b[2J"))
    drawing = Drawing(graph.build(), "<h2>title\x00")
    for html in (drawing.html, drawing.svg, drawing._repr_html_()):
        assert not re.search(r"<script>alert|<h2>|<i>|<b>", html)
    assert "\x1b" not in drawing.text + drawing.svg
    ElementTree.fromstring(drawing.svg)


def test_a_notebook_shows_what_fits_as_a_picture_and_more_as_a_page():
    assert Drawing(step(2), "t")._repr_html_().startswith('<div style="overflow:auto"><svg')
    assert 'sandbox="allow-scripts"' in Drawing(step(30), "t")._repr_html_()


def test_what_bends_stays_in_the_picture():
    graph = GraphBuilder()
    store = graph.add("variable", "v")
    graph.connect(graph.add("operation", "add", [store]), store, writes=True)
    svg = Drawing(graph.build(), "t").svg
    width = float(re.search(r'<mask[^>]* width="([\d.]+)"', svg)[1])
    curves = re.findall(r'd="M[^"C]*C([^"]+)', svg)
    assert len(curves) == 2
    assert all(float(x) <= width for curve in curves for x in curve.split()[::2])


def test_the_page_has_all_nodes_and_needs_nothing_else():
    html = Drawing(step(), "t").html
    data = json.loads(re.search(r'id="data">(.*?)</script>', html, re.DOTALL)[1])
    assert len(data["nodes"]) == len(step().nodes) + 3
    assert sorted(node["name"] for node in data["nodes"] if node["hidden"]) == ["cast"] * 3 + ["shape"] * 3
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", html)
    assert not re.search(r"<(script|link|img)[^>]* (src|href)=", html)


def test_an_empty_graph_is_drawn():
    drawing = Drawing(GraphBuilder().build(), "nothing")
    assert drawing.text == "nothing"
    ElementTree.fromstring(drawing.svg)
    assert "nothing" in drawing.html


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(ArgumentValueError, match=r"graph\.png"):
        Drawing(step(), "t").save(tmp_path / "graph.png")
    assert not list(tmp_path.iterdir())
