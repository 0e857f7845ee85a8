"""Operations of keras.ops in a graph, on values that lie as Keras has them and on others."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers, ops

SHAPE = (3, 5, 4)
CONSTANT = np.linspace(-1, 1, 4).astype("float32")

UNARY = [
    "abs",
    "arctan",
    "ceil",
    "copy",
    "cos",
    "cosh",
    "elu",
    "erf",
    "exp",
    "expm1",
    "floor",
    "gelu",
    "hard_sigmoid",
    "hard_silu",
    "hard_tanh",
    "isfinite",
    "isnan",
    "leaky_relu",
    "log_sigmoid",
    "log_softmax",
    "logical_not",
    "negative",
    "ones_like",
    "relu",
    "relu6",
    "round",
    "selu",
    "sigmoid",
    "sign",
    "silu",
    "sin",
    "sinh",
    "soft_shrink",
    "softmax",
    "softplus",
    "softsign",
    "sparse_plus",
    "sparsemax",
    "square",
    "squareplus",
    "tan",
    "tanh",
    "tanh_shrink",
    "zeros_like",
]
POSITIVE = ["log", "log10", "log1p", "log2", "reciprocal", "rsqrt", "sqrt"]


def unary(name):
    return lambda x: getattr(ops, name)(x)


def unary_of_positive(name):
    return lambda x: getattr(ops, name)(ops.abs(x) + 0.5)


def reduction(name, axis, keepdims):
    return lambda x: getattr(ops, name)(x, axis=axis, keepdims=keepdims)


ROWS = {
    **{name: unary(name) for name in UNARY},
    **{name: unary_of_positive(name) for name in POSITIVE},
    **{
        f"{name} {axis} {keepdims}": reduction(name, axis, keepdims)
        for name in ("sum", "mean", "max", "min", "std", "var", "logsumexp", "amax")
        for axis in (1, (1, 2), (1, 3), -1)
        for keepdims in (False, True)
    },
    # Not with keepdims: Keras 3.15.1 drops the axes on PyTorch all the same.
    **{
        f"{name} of all": reduction(name, None, False)
        for name in ("sum", "mean", "max", "min", "std", "logsumexp")
    },
    "numbers": lambda x: (2 * x - 1) / 3 + x**2 - 1 / (x * x + 1),
    "constants": lambda x: x * CONSTANT + CONSTANT.reshape(1, 1, 1, 4),
    "maximum": lambda x: ops.minimum(ops.maximum(x, 0.1), 0.4),
    "arctan2": lambda x: ops.arctan2(x, x + 1),
    "mod": lambda x: ops.mod(x, 0.7),
    "floor divide": lambda x: x // 0.5,
    "power": lambda x: ops.power(2.0, x),
    "divide no nan": lambda x: ops.divide_no_nan(x, ops.relu(x)),
    "integers": lambda x: ops.cast(ops.sum(ops.cast(x > 0, "int32"), axis=1) / 2, "float32"),
    "compare": lambda x: ops.logical_and(x > 0, ops.less(x, 0.5)),
    "where": lambda x: ops.where(x > 0, x, 0.5 * x),
    "where number": lambda x: ops.where(x > 0, x, 0.0),
    "any": lambda x: ops.logical_or(ops.any(x > 1, axis=1), ops.all(x > -1, axis=1)),
    "argmax": lambda x: ops.argmax(x, axis=-1) + ops.argmin(x, axis=-1),
    "clip": lambda x: ops.clip(x, -0.5, 0.5),
    "concatenate": lambda x: ops.concatenate([x, 2 * x], axis=-1),
    "stack": lambda x: ops.stack([x, 2 * x], axis=1),
    "cumsum": lambda x: ops.cumsum(x, axis=2),
    "matmul": lambda x: ops.matmul(x, ops.swapaxes(x, -1, -2)),
    "dot": lambda x: ops.dot(x, np.ones((4, 2), "float32")),
    "einsum": lambda x: ops.einsum("bhwc,bhvc->bhwv", x, x),
    "reshape": lambda x: ops.reshape(x, (-1, 15, 4)),
    "transpose": lambda x: ops.transpose(x, (0, 3, 1, 2)),
    "moveaxis": lambda x: ops.moveaxis(x, -1, 1),
    "expand and squeeze": lambda x: ops.squeeze(ops.expand_dims(ops.expand_dims(x, -1), 1), 1),
    "slices": lambda x: x[:, 1:, ::2] + x[:, :-1, ::2],
    "slices that drop": lambda x: x[:, 0, ..., None, -1],
    "split": lambda x: ops.split(x, 2, axis=-1)[1],
    "split at": lambda x: ops.split(x, [1, 3], axis=2)[1],
    "unstack": lambda x: ops.unstack(x, axis=1)[2],
    "repeat": lambda x: ops.repeat(x, 2, axis=-1),
    "tile": lambda x: ops.tile(x, (1, 2, 1, 1)),
    "flip": lambda x: ops.flip(x, axis=1),
    "pad": lambda x: ops.pad(x, ((0, 0), (1, 2), (0, 0), (0, 1)), constant_values=2.0),
    "take": lambda x: ops.take(x, [0, 2, -1], axis=2),
    "take a matrix": lambda x: ops.take(x, [[0, 2], [1, 1]], axis=2),
    "one hot": lambda x: ops.one_hot(ops.argmax(x, axis=-1), 4),
    "normalize": lambda x: ops.normalize(x),
    "norm": lambda x: ops.norm(x, axis=(3,)),
    "stop gradient": lambda x: ops.stop_gradient(x),
}


@pytest.mark.parametrize("name", ROWS)
def test_an_operation(name, lowered, floats):
    """Its values lie as Keras has them in one model, and with channels first in the other."""
    x = keras.Input(SHAPE)
    lowered(keras.Model(x, [ROWS[name](x), ROWS[name](layers.Conv2D(4, 1)(x))]), floats(2, *SHAPE), rtol=1e-3)


def test_tensors_that_meet_in_other_layouts(lowered, floats):
    x = keras.Input(SHAPE)
    y = layers.Conv2D(4, 1)(x)
    lowered(
        keras.Model(
            x,
            [
                x + y,
                y - layers.GlobalAveragePooling2D(keepdims=True)(y),
                y * layers.GlobalMaxPooling2D()(y)[:, None, None],
            ],
        ),
        floats(2, *SHAPE),
    )


def test_dtypes_that_meet(lowered):
    i, x = keras.Input((3,), dtype="int32"), keras.Input((3,))
    model = keras.Model(
        [i, x],
        [
            i * x,
            i / 2,
            i + 1,
            i * 2.5,
            ops.mean(i, axis=1),
            ops.sqrt(ops.abs(i)),
            ops.sum(i),
            ops.maximum(i, 1),
        ],
    )
    lowered(model, [np.array([[1, -2, 3]], "int32"), np.array([[0.5, 1.5, 2.5]], "float32")])
