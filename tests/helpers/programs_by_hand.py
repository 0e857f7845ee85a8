"""Torch programs without torch: small graphs written by hand."""

from __future__ import annotations

import numpy as np

from unikeras._specs.torch_program import (
    ProgramGraph,
    ProgramNode,
    ProgramTensor,
    ProgramVariable,
    TorchProgram,
)

LINEAR = "torch.nn.modules.linear.Linear"


def of(name):
    """An argument that is another node's result."""
    return {"node": name}


def node(name, operator, args, dtype="float32", module=("", ""), line="net.py:3, in forward", **kwargs):
    return ProgramNode(name, operator, args, kwargs, dtype, module, line)


def variable(name, shape, dtype="float32", trainable=True, kind="parameter", aliases=()):
    return ProgramVariable(name, shape, dtype, trainable, kind, aliases)


def program(inputs, nodes, outputs, variables=(), train=None, writes=(), structures=(None, 0), name="Net"):
    """A program of one graph, or of two where `train` has the nodes and outputs of the other.

    Variables are read under their names with "_" for ".".
    """
    held = {one.name.replace(".", "_"): one.name for one in variables}
    names = (*held, *(one.name for one in inputs))
    graph = ProgramGraph(names, held, tuple(nodes), (), outputs)
    other = graph if train is None else ProgramGraph(names, held, tuple(train[0]), tuple(writes), train[1])
    structure = list(range(len(inputs))) if structures[0] is None else structures[0]
    return TorchProgram("2.13.0", tuple(inputs), structure, structures[1], tuple(variables), graph, other, name)


def of_one(*nodes, dtype="float32", shape=(None, 3), **kwargs):
    """A program of one input "x" that returns its last node."""
    return program([ProgramTensor("x", shape, dtype)], nodes, [of(nodes[-1].name)], **kwargs)


def net(drop=0.0):
    """Two linear layers, the second in a list and tied to another name, with a counter, and dropout in train mode."""
    variables = [
        variable("fc.weight", (4, 3)),
        variable("fc.bias", (4,)),
        variable("blocks.0.out.weight", (2, 4), aliases=("tied.weight",)),
        variable("blocks.0.scale", (), trainable=False),
        variable("count", (), "int64", trainable=False, kind="buffer"),
        variable("shift", (2,), trainable=False, kind="constant"),
    ]
    first = [
        node("h", "aten.linear.default", [of("x"), of("fc_weight"), of("fc_bias")], module=("fc", LINEAR)),
        node("r", "aten.relu.default", [of("h")]),
    ]

    def last(of_what):
        return [
            node(
                "z",
                "aten.linear.default",
                [of(of_what), of("blocks_0_out_weight")],
                module=("blocks.0.out", LINEAR),
            ),
            node("s", "aten.mul.Tensor", [of("z"), of("blocks_0_scale")], module=("blocks.0", "net.Block")),
            node("y", "aten.add.Tensor", [of("s"), of("shift")]),
        ]

    train = [
        *first,
        node("d", "aten.native_dropout.default", [of("r"), drop, True], ["float32", "bool"]),
        node("d0", "py.getitem", [of("d"), 0]),
        *last("d0"),
        node("n", "aten.add.Tensor", [of("count"), 1], "int64"),
    ]
    made = program(
        [ProgramTensor("x", (None, 3), "float32")],
        [*first, *last("r")],
        [of("y")],
        variables,
        train=(train, [of("n"), of("y")]),
        writes=("count",),
        name="SmallNet",
    )
    rng = np.random.default_rng(0)
    arrays = {
        one.name: np.asarray(rng.normal(size=one.shape), "float32") for one in variables if one.dtype == "float32"
    }
    return made, {**arrays, "count": np.array(7, "int64")}


def answer_of_net(arrays, x):
    """What numpy computes for `net` without dropout."""
    hidden = np.maximum(x @ arrays["fc.weight"].T + arrays["fc.bias"], 0)
    return hidden @ arrays["blocks.0.out.weight"].T * arrays["blocks.0.scale"] + arrays["shift"]
