"""Functions of keras.ops, each beside the same function in numpy and, where it is short, its derivative."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops


@dataclass(frozen=True)
class Row:
    """One function: in keras.ops, in numpy, and where to differentiate it.

    Attributes:
        name: what the test is called.
        f: the function of tensors.
        truth: the same function of float64 arrays.
        inputs: where its gradient is taken.
        derivative: of a function of one number, in closed form; None leaves it to central differences.
    """

    name: str
    f: Callable[..., Any]
    truth: Callable[..., Any]
    inputs: tuple[np.ndarray, ...]
    derivative: Callable[[np.ndarray], np.ndarray] | None = None


def values(*shape: int, low: float = -1.9, high: float = 2.1, seed: int = 0) -> np.ndarray:
    """Return numbers in a random order and far from each other: no two are a tie, none stands on a kink at 0."""
    spaced = np.linspace(low, high, math.prod(shape))
    return np.random.default_rng(seed).permutation(spaced).reshape(shape)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def sech2(x):
    return 1 / np.cosh(x) ** 2


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def log_softmax(x, axis=-1):
    return np.log(softmax(x, axis))


erf = np.vectorize(math.erf)


def normal(x):
    return np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)


def one(name, f, truth, derivative, low=-1.9, high=2.1):
    """Return the row of a function of one number."""
    return Row(name, f, truth, (values(7, low=low, high=high),), derivative)


ONE_NUMBER = [
    one("negative", ops.negative, np.negative, lambda x: -np.ones_like(x)),
    one("absolute", ops.absolute, np.abs, np.sign),
    one("square", ops.square, np.square, lambda x: 2 * x),
    one("cube", lambda x: x**3, lambda x: x**3, lambda x: 3 * x**2),
    one("negative_power", lambda x: x**-2.0, lambda x: x**-2.0, lambda x: -2 * x**-3.0, 0.5),
    one("sqrt", ops.sqrt, np.sqrt, lambda x: 0.5 / np.sqrt(x), 0.3),
    one("rsqrt", ops.rsqrt, lambda x: x**-0.5, lambda x: -0.5 * x**-1.5, 0.3),
    one("reciprocal", ops.reciprocal, np.reciprocal, lambda x: -1 / x**2, 0.3),
    one("exp", ops.exp, np.exp, np.exp),
    one("exp2", ops.exp2, np.exp2, lambda x: np.log(2) * np.exp2(x)),
    one("expm1", ops.expm1, np.expm1, np.exp),
    one("log", ops.log, np.log, np.reciprocal, 0.3),
    one("log2", ops.log2, np.log2, lambda x: 1 / (x * np.log(2)), 0.3),
    one("log10", ops.log10, np.log10, lambda x: 1 / (x * np.log(10)), 0.3),
    one("log1p", ops.log1p, np.log1p, lambda x: 1 / (1 + x), -0.7),
    one("sin", ops.sin, np.sin, np.cos),
    one("cos", ops.cos, np.cos, lambda x: -np.sin(x)),
    one("tan", ops.tan, np.tan, lambda x: 1 / np.cos(x) ** 2, -1.2, 1.3),
    one("arcsin", ops.arcsin, np.arcsin, lambda x: (1 - x**2) ** -0.5, -0.8, 0.9),
    one("arccos", ops.arccos, np.arccos, lambda x: -((1 - x**2) ** -0.5), -0.8, 0.9),
    one("arctan", ops.arctan, np.arctan, lambda x: 1 / (1 + x**2)),
    one("sinh", ops.sinh, np.sinh, np.cosh),
    one("cosh", ops.cosh, np.cosh, np.sinh),
    one("tanh", ops.tanh, np.tanh, sech2),
    one("arcsinh", ops.arcsinh, np.arcsinh, lambda x: (1 + x**2) ** -0.5),
    one("arccosh", ops.arccosh, np.arccosh, lambda x: (x**2 - 1) ** -0.5, 1.2, 3.0),
    one("arctanh", ops.arctanh, np.arctanh, lambda x: 1 / (1 - x**2), -0.8, 0.9),
    one("erf", ops.erf, erf, lambda x: 2 / math.sqrt(math.pi) * np.exp(-(x**2))),
    one("relu", ops.relu, lambda x: np.maximum(x, 0), lambda x: (x > 0) * 1.0),
    one("relu6", ops.relu6, lambda x: np.clip(x, 0, 6), lambda x: ((x > 0) & (x < 6)) * 1.0, -3, 8.5),
    one(
        "leaky_relu",
        lambda x: ops.leaky_relu(x, 0.1),
        lambda x: np.where(x > 0, x, 0.1 * x),
        lambda x: np.where(x > 0, 1, 0.1),
    ),
    one(
        "elu",
        ops.elu,
        lambda x: np.where(x > 0, x, np.expm1(x)),
        lambda x: np.where(x > 0, 1, np.exp(x)),
    ),
    one(
        "selu",
        ops.selu,
        lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x)),
        lambda x: 1.0507009873554805 * np.where(x > 0, 1, 1.6732632423543772 * np.exp(x)),
    ),
    one("sigmoid", ops.sigmoid, sigmoid, lambda x: sigmoid(x) * (1 - sigmoid(x))),
    one("log_sigmoid", ops.log_sigmoid, lambda x: np.log(sigmoid(x)), lambda x: sigmoid(-x)),
    one("softplus", ops.softplus, lambda x: np.log1p(np.exp(x)), sigmoid),
    one("softsign", ops.softsign, lambda x: x / (1 + np.abs(x)), lambda x: 1 / (1 + np.abs(x)) ** 2),
    one("silu", ops.silu, lambda x: x * sigmoid(x), lambda x: sigmoid(x) * (1 + x * sigmoid(-x))),
    one(
        "gelu",
        lambda x: ops.gelu(x, approximate=False),
        lambda x: x * (1 + erf(x / math.sqrt(2))) / 2,
        lambda x: (1 + erf(x / math.sqrt(2))) / 2 + x * normal(x),
    ),
    one(
        "hard_sigmoid",
        ops.hard_sigmoid,
        lambda x: np.clip(x / 6 + 0.5, 0, 1),
        lambda x: (np.abs(x) < 3) / 6,
        -4.1,
        4.2,
    ),
    one(
        "tanh_of_a_sum_of_itself",
        lambda x: ops.tanh(x + ops.sin(x) * x),
        lambda x: np.tanh(x + np.sin(x) * x),
        lambda x: sech2(x + np.sin(x) * x) * (1 + np.sin(x) + x * np.cos(x)),
    ),
    one("clip", lambda x: ops.clip(x, -1, 1), lambda x: np.clip(x, -1, 1), lambda x: (np.abs(x) < 1) * 1.0),
    one("floor", lambda x: x - ops.floor(x), lambda x: x - np.floor(x), np.ones_like),
    one(
        "where",
        lambda x: ops.where(x > 0.5, x * x, 3.0 * x),
        lambda x: np.where(x > 0.5, x * x, 3 * x),
        lambda x: np.where(x > 0.5, 2 * x, 3),
    ),
]

A, B = values(3, 4), values(3, 4, seed=1)
POSITIVE = values(3, 4, low=0.4, high=2.0, seed=2)

TWO_ARGUMENTS = [
    Row("add", ops.add, np.add, (A, values(4, seed=1))),
    Row("subtract", ops.subtract, np.subtract, (A, values(3, 1, seed=1))),
    Row("multiply", ops.multiply, np.multiply, (A, values(4, seed=1))),
    Row("divide", ops.divide, np.divide, (A, POSITIVE)),
    Row("power", ops.power, np.power, (POSITIVE, A)),
    Row("mod", lambda x: ops.mod(x, 0.7), lambda x: np.mod(x, 0.7), (POSITIVE,)),
    Row("maximum", ops.maximum, np.maximum, (A, B + 0.05)),
    Row("minimum", ops.minimum, np.minimum, (A, B + 0.05)),
    Row("arctan2", ops.arctan2, np.arctan2, (A, POSITIVE)),
    Row("hypot", ops.hypot, np.hypot, (A, POSITIVE)),
    # Apart, because keras.ops.logaddexp on TensorFlow answers twice the gradient where both are equal.
    Row("logaddexp", ops.logaddexp, np.logaddexp, (A, B + 0.05)),
    Row("cross", lambda a, b: ops.cross(a, b, axis=-1), np.cross, (values(2, 3), values(2, 3, seed=1))),
    Row("outer", ops.outer, np.outer, (values(3), values(4, seed=1))),
]

REDUCTIONS = [
    Row("sum", lambda x: ops.sum(x, axis=0), lambda x: x.sum(0), (A,)),
    Row("mean", lambda x: ops.mean(x, axis=(0, 1)), np.mean, (A,)),
    Row("max", lambda x: ops.max(x, axis=1), lambda x: x.max(1), (A,)),
    Row("min", lambda x: ops.min(x, axis=0, keepdims=True), lambda x: x.min(0, keepdims=True), (A,)),
    Row("prod", lambda x: ops.prod(x, axis=1), lambda x: x.prod(1), (A,)),
    Row("prod_with_a_zero", ops.prod, np.prod, (np.array([2.0, 0.0, 3.0]),)),
    Row("var", lambda x: ops.var(x, axis=1), lambda x: x.var(1), (A,)),
    Row("std", lambda x: ops.std(x, axis=0), lambda x: x.std(0), (A,)),
    Row("norm", ops.norm, np.linalg.norm, (A,)),
    Row("norm_1", lambda x: ops.norm(x, ord=1, axis=1), lambda x: np.abs(x).sum(1), (A,)),
    Row("median", lambda x: ops.median(x, axis=1), lambda x: np.median(x, axis=1), (values(2, 5),)),
    Row(
        "logsumexp",
        lambda x: ops.logsumexp(x, axis=1),
        lambda x: np.log(np.exp(x).sum(1)),
        (A,),
    ),
    Row("softmax", ops.softmax, softmax, (A,)),
    Row("log_softmax", lambda x: ops.log_softmax(x, axis=0), lambda x: log_softmax(x, 0), (A,)),
    Row("cumsum", lambda x: ops.cumsum(x, axis=1), lambda x: x.cumsum(1), (A,)),
    Row("cumprod", lambda x: ops.cumprod(x, axis=1), lambda x: x.cumprod(1), (A,)),
    Row("moments", lambda x: ops.moments(x, axes=[0])[1], lambda x: x.var(0), (A,)),
    Row(
        "l2_normalize",
        lambda x: ops.normalize(x, axis=1),
        lambda x: x / np.linalg.norm(x, axis=1, keepdims=True),
        (A,),
    ),
]

MATRIX = values(3, 3) + 3 * np.eye(3)


def positive_definite(x):
    return x @ x.T + np.eye(3)


PRODUCTS = [
    Row("matmul", ops.matmul, np.matmul, (A, values(4, 2, seed=1))),
    Row("matmul_broadcast", ops.matmul, np.matmul, (values(2, 1, 3, 2), values(2, 2, seed=1))),
    Row("matrix_times_vector", ops.matmul, np.matmul, (A, values(4, seed=1))),
    Row("dot", ops.dot, np.dot, (values(5), values(5, seed=1))),
    Row(
        "tensordot",
        lambda a, b: ops.tensordot(a, b, axes=[[1, 2], [0, 1]]),
        lambda a, b: np.tensordot(a, b, axes=[[1, 2], [0, 1]]),
        (values(2, 3, 2), values(3, 2, 2, seed=1)),
    ),
    Row(
        "einsum",
        lambda a, b: ops.einsum("bij,bjk->bki", a, b),
        lambda a, b: np.einsum("bij,bjk->bki", a, b),
        (values(2, 2, 3), values(2, 3, 2, seed=1)),
    ),
    Row("einsum_diagonal", lambda a: ops.einsum("ii->i", a), lambda a: np.einsum("ii->i", a), (MATRIX,)),
    Row("trace", ops.trace, np.trace, (MATRIX,)),
    Row("inv", ops.inv, np.linalg.inv, (MATRIX,)),
    Row("det", ops.det, np.linalg.det, (MATRIX,)),
    Row("solve", ops.solve, np.linalg.solve, (MATRIX, values(3, 2, seed=1))),
    Row(
        "solve_triangular",
        lambda a, b: ops.solve_triangular(ops.tril(a), b, lower=True),
        lambda a, b: np.linalg.solve(np.tril(a), b),
        (MATRIX, values(3, 2, seed=1)),
    ),
    Row(
        "cholesky",
        lambda x: ops.cholesky(ops.matmul(x, ops.transpose(x)) + ops.eye(3)),
        lambda x: np.linalg.cholesky(positive_definite(x)),
        (MATRIX,),
    ),
    Row(
        "eigenvalues",
        lambda x: ops.linalg.eigh(ops.matmul(x, ops.transpose(x)) + ops.eye(3))[0],
        lambda x: np.linalg.eigvalsh(positive_definite(x)),
        (MATRIX,),
    ),
]

INDICES = np.array([2, 0, 2, 1])
ALONG = np.array([[3, 0], [1, 1], [2, 3]])

PLACES = [
    Row("reshape", lambda x: ops.reshape(x, (2, -1)), lambda x: x.reshape(2, -1), (A,)),
    Row(
        "transpose",
        lambda x: ops.transpose(x, (2, 0, 1)),
        lambda x: x.transpose(2, 0, 1),
        (values(2, 3, 2),),
    ),
    Row("moveaxis", lambda x: ops.moveaxis(x, 0, -1), lambda x: np.moveaxis(x, 0, -1), (values(2, 3, 2),)),
    Row("expand_and_squeeze", lambda x: ops.squeeze(ops.expand_dims(x, 1), 1), lambda x: x, (A,)),
    Row("broadcast_to", lambda x: ops.broadcast_to(x, (3, 4)), lambda x: x * np.ones((3, 1)), (values(4),)),
    Row("tile", lambda x: ops.tile(x, (2, 3)), lambda x: np.tile(x, (2, 3)), (values(2, 2),)),
    Row("repeat", lambda x: ops.repeat(x, 2, axis=1), lambda x: x.repeat(2, 1), (A,)),
    Row("flip", lambda x: ops.flip(x, axis=1), lambda x: x[:, ::-1], (A,)),
    Row("roll", lambda x: ops.roll(x, 1, axis=1), lambda x: np.roll(x, 1, 1), (A,)),
    Row(
        "concatenate",
        lambda a, b: ops.concatenate([a, b, a], axis=1),
        lambda a, b: np.concatenate([a, b, a], axis=1),
        (A, B),
    ),
    Row("stack", lambda a, b: ops.stack([a, b], axis=1), lambda a, b: np.stack([a, b], axis=1), (A, B)),
    Row(
        "split",
        lambda x: ops.multiply(*ops.split(x, 2, axis=1)),
        lambda x: x[:, :2] * x[:, 2:],
        (A,),
    ),
    Row(
        "unstack",
        lambda x: ops.unstack(x, axis=0)[0] * ops.unstack(x, axis=0)[2],
        lambda x: x[0] * x[2],
        (A,),
    ),
    Row("index", lambda x: x[1:, ::2], lambda x: x[1:, ::2], (A,)),
    Row("slice", lambda x: ops.slice(x, (1, 1), (2, 2)), lambda x: x[1:3, 1:3], (A,)),
    Row(
        "scatter",
        lambda x: ops.scatter(INDICES[:, None], x, (3,)),
        lambda x: np.array([x[1], x[3], x[0] + x[2]]),
        (values(4),),
    ),
    Row(
        "segment_sum",
        lambda x: ops.segment_sum(x, np.array([0, 0, 1, 2]), num_segments=3),
        lambda x: np.array([x[0] + x[1], x[2], x[3]]),
        (values(4, 2),),
    ),
    Row("embedding_lookup", lambda table: ops.take(table, INDICES, axis=0), lambda t: t[INDICES], (A,)),
    Row("take", lambda x: ops.take(x, INDICES, axis=1), lambda x: x[:, INDICES], (A,)),
    Row(
        "take_along_axis",
        lambda x: ops.take_along_axis(x, ALONG, axis=1),
        lambda x: np.take_along_axis(x, ALONG, 1),
        (A,),
    ),
    Row("pad", lambda x: ops.pad(x, ((1, 0), (0, 2))), lambda x: np.pad(x, ((1, 0), (0, 2))), (A,)),
    Row(
        "pad_reflect",
        lambda x: ops.pad(x, ((0, 0), (1, 1)), mode="reflect"),
        lambda x: np.pad(x, ((0, 0), (1, 1)), mode="reflect"),
        (A,),
    ),
    Row("tril", ops.tril, np.tril, (MATRIX,)),
    Row("diag", ops.diag, np.diag, (values(3),)),
    Row("diff", lambda x: ops.diff(x, axis=1), lambda x: np.diff(x, axis=1), (A,)),
    Row("sort", lambda x: ops.sort(x, axis=1), lambda x: np.sort(x, axis=1), (A,)),
    Row("top_k", lambda x: ops.top_k(x, 2)[0], lambda x: -np.sort(-x, axis=1)[:, :2], (A,)),
    Row(
        "where_of_two",
        lambda a, b: ops.where(np.eye(3, 4, dtype=bool), a, b),
        lambda a, b: np.where(np.eye(3, 4, dtype=bool), a, b),
        (A, B),
    ),
]


def windows(x, size, stride=1):
    """Return the windows of images: shape (batch, rows, columns, size, size, channels)."""
    view = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))
    return np.moveaxis(view[:, ::stride, ::stride], 3, -1)


IMAGES, KERNEL = values(2, 4, 4, 2), values(2, 2, 2, 3, seed=1)


def transposed_convolution(x, kernel):
    """Add each pixel's kernel to the output; the kernel is (rows, columns, out, in)."""
    result = np.zeros((len(x), 2 * x.shape[1], 2 * x.shape[2], kernel.shape[2]))
    for i, j in np.ndindex(x.shape[1:3]):
        result[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2] += np.einsum("bc,uvdc->buvd", x[:, i, j], kernel)
    return result


IMAGE_ROWS = [
    Row(
        "conv",
        lambda x, k: ops.conv(x, k, data_format="channels_last"),
        lambda x, k: np.einsum("bijuvc,uvcd->bijd", windows(x, 2), k),
        (IMAGES, KERNEL),
    ),
    Row(
        "conv_with_strides_and_padding",
        lambda x, k: ops.conv(x, k, strides=2, padding="same", data_format="channels_last"),
        lambda x, k: np.einsum(
            "bijuvc,uvcd->bijd", windows(np.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0))), 3, 2), k
        ),
        (IMAGES, values(3, 3, 2, 2, seed=1)),
    ),
    Row(
        "conv_transpose",
        lambda x, k: ops.conv_transpose(x, k, strides=2, data_format="channels_last"),
        transposed_convolution,
        (values(1, 2, 2, 2), values(2, 2, 3, 2, seed=1)),
    ),
    Row(
        "depthwise_conv",
        lambda x, k: ops.depthwise_conv(x, k, data_format="channels_last"),
        lambda x, k: np.einsum("bijuvc,uvcm->bijcm", windows(x, 2), k).reshape(2, 3, 3, 4),
        (IMAGES, values(2, 2, 2, 2, seed=1)),
    ),
    Row(
        "separable_conv",
        lambda x, k, p: ops.separable_conv(x, k, p, data_format="channels_last"),
        lambda x, k, p: np.einsum("bijuvc,uvcm->bijcm", windows(x, 2), k).reshape(2, 3, 3, 2) @ p[0, 0],
        (IMAGES, values(2, 2, 2, 1, seed=1), values(1, 1, 2, 3, seed=2)),
    ),
    Row(
        "max_pool",
        lambda x: ops.max_pool(x, 2, 2, data_format="channels_last"),
        lambda x: windows(x, 2, 2).max((3, 4)),
        (IMAGES,),
    ),
    Row(
        "average_pool",
        lambda x: ops.average_pool(x, 2, 2, data_format="channels_last"),
        lambda x: windows(x, 2, 2).mean((3, 4)),
        (IMAGES,),
    ),
]


def normalized(x, axis, epsilon):
    return (x - x.mean(axis, keepdims=True)) / np.sqrt(x.var(axis, keepdims=True) + epsilon)


def batch_normalization_in_training(x, gamma, beta):
    mean, variance = ops.moments(x, axes=[0])
    return ops.batch_normalization(x, mean, variance, axis=-1, offset=beta, scale=gamma, epsilon=1e-3)


def attention(q, k, v):
    scores = softmax(np.einsum("bqnh,bknh->bnqk", q, k) / math.sqrt(q.shape[-1]))
    return np.einsum("bnqk,bknh->bqnh", scores, v)


def recurrence(x, w):
    h = np.zeros((len(x), 2))
    for t in range(x.shape[1]):
        h = np.tanh(x[:, t] + h @ w)
    return h


def recurrence_by_scan(x, w):
    def step(h, row):
        h = ops.tanh(row + ops.matmul(h, w))
        return h, h

    return ops.scan(step, ops.zeros((2, 2)), ops.transpose(x, (1, 0, 2)))[0]


GAMMA, BETA, MEAN, VARIANCE = values(4), values(4, seed=1), values(4, seed=2), values(4, low=0.5, high=2.0)

LAYERS = [
    Row(
        "dense",
        lambda x, w, b: ops.relu(ops.matmul(x, w) + b),
        lambda x, w, b: np.maximum(x @ w + b, 0),
        (A, values(4, 2, seed=1), values(2, seed=2)),
    ),
    Row(
        "layer_normalization",
        lambda x, g, b: ops.layer_normalization(x, g, b, axis=-1, epsilon=1e-3),
        lambda x, g, b: normalized(x, -1, 1e-3) * g + b,
        (A, GAMMA, BETA),
    ),
    Row(
        "rms_normalization",
        lambda x, g: ops.rms_normalization(x, g, axis=-1, epsilon=1e-3),
        lambda x, g: x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-3) * g,
        (A, GAMMA),
    ),
    Row(
        "batch_normalization_in_inference",
        lambda x, g, b: ops.batch_normalization(
            x, MEAN.astype("float32"), VARIANCE.astype("float32"), axis=-1, offset=b, scale=g, epsilon=1e-3
        ),
        lambda x, g, b: (x - MEAN) / np.sqrt(VARIANCE + 1e-3) * g + b,
        (A, GAMMA, BETA),
    ),
    Row(
        "batch_normalization_in_training",
        batch_normalization_in_training,
        lambda x, g, b: normalized(x, 0, 1e-3) * g + b,
        (A, GAMMA, BETA),
    ),
    Row(
        "batch_normalization_layer",
        lambda x: keras.layers.BatchNormalization(epsilon=1e-3)(x, training=True),
        lambda x: normalized(x, 0, 1e-3),
        (A,),
    ),
    Row(
        "dot_product_attention",
        lambda q, k, v: ops.dot_product_attention(q, k, v),
        attention,
        (values(1, 2, 2, 2), values(1, 3, 2, 2, seed=1), values(1, 3, 2, 2, seed=2)),
    ),
    Row("recurrence", recurrence_by_scan, recurrence, (values(2, 3, 2), values(2, 2, seed=1))),
    Row("glu", ops.glu, lambda x: x[:, :2] * sigmoid(x[:, 2:]), (A,)),
]

LABELS, CHOICES = np.eye(4, dtype="float32")[[1, 3, 0]], np.array([1, 3, 0])
BITS = np.array([[1, 0, 1, 1], [0, 0, 1, 0], [1, 1, 0, 0]], "float32")
GOAL, GOAL_POSITIVE = B.astype("float32") + 0.05, softmax(B).astype("float32")


def cosine(a, b):
    return (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


def huber(error):
    return np.where(np.abs(error) < 1, error**2 / 2, np.abs(error) - 0.5)


LOSSES = [
    Row(
        "mean_squared_error",
        lambda x: keras.losses.mean_squared_error(GOAL, x),
        lambda x: ((x - GOAL) ** 2).mean(-1),
        (A,),
    ),
    Row(
        "mean_absolute_error",
        lambda x: keras.losses.mean_absolute_error(GOAL, x),
        lambda x: np.abs(x - GOAL).mean(-1),
        (A,),
    ),
    Row("huber", lambda x: keras.losses.huber(GOAL, x), lambda x: huber(x - GOAL).mean(-1), (A,)),
    Row(
        "log_cosh",
        lambda x: keras.losses.log_cosh(GOAL, x),
        lambda x: np.log(np.cosh(x - GOAL)).mean(-1),
        (A,),
    ),
    Row(
        "cosine_similarity",
        lambda x: keras.losses.cosine_similarity(GOAL, x),
        lambda x: -cosine(GOAL, x),
        (A,),
    ),
    Row(
        "categorical_crossentropy",
        lambda x: ops.categorical_crossentropy(LABELS, x, from_logits=True),
        lambda x: -(LABELS * log_softmax(x)).sum(-1),
        (A,),
    ),
    Row(
        "sparse_categorical_crossentropy",
        lambda x: ops.sparse_categorical_crossentropy(CHOICES, x, from_logits=True),
        lambda x: -log_softmax(x)[np.arange(3), CHOICES],
        (A,),
    ),
    Row(
        "binary_crossentropy",
        lambda x: ops.binary_crossentropy(BITS, x, from_logits=True),
        lambda x: -(BITS * np.log(sigmoid(x)) + (1 - BITS) * np.log(sigmoid(-x))),
        (A,),
    ),
    Row(
        "binary_crossentropy_of_probabilities",
        lambda x: ops.binary_crossentropy(BITS, ops.sigmoid(x)),
        lambda x: -(BITS * np.log(sigmoid(x)) + (1 - BITS) * np.log(sigmoid(-x))),
        (A,),
    ),
    Row(
        "kl_divergence",
        lambda x: keras.losses.kl_divergence(GOAL_POSITIVE, ops.softmax(x)),
        lambda x: (GOAL_POSITIVE * (np.log(GOAL_POSITIVE) - log_softmax(x))).sum(-1),
        (A,),
    ),
    Row(
        "poisson",
        lambda x: keras.losses.poisson(GOAL_POSITIVE, x),
        lambda x: (x - GOAL_POSITIVE * np.log(x + 1e-7)).mean(-1),
        (POSITIVE,),
    ),
]

TABLE = [
    *ONE_NUMBER,
    *TWO_ARGUMENTS,
    *REDUCTIONS,
    *PRODUCTS,
    *PLACES,
    *IMAGE_ROWS,
    *LAYERS,
    *LOSSES,
]
