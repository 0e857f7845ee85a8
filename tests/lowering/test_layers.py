"""Every kind of layer, alone in a model: a row is a shape of one sample and layers."""

from __future__ import annotations

from functools import partial

import keras
import numpy as np
import pytest
from helpers.agreement import run
from keras import layers
from keras.src.applications import convnext

from unikeras import lowering

FIRST = {"data_format": "channels_first"}
ACTIVATIONS = sorted(
    name
    for name in dir(keras.activations)
    if name not in ("deserialize", "get", "serialize", "threshold") and name[0] != "_"
)

PADDINGS, BOTH = ("valid", "same"), (False, True)
IMAGE, IMAGE_FIRST, SERIES, VOLUME = (9, 8, 4), (4, 9, 8), (11, 4), (5, 6, 4, 2)

CONVOLUTIONS = [
    (SERIES, partial(layers.Conv1D, 6, 3)),
    (SERIES, partial(layers.Conv1D, 6, 3, padding="same")),
    (SERIES, partial(layers.Conv1D, 6, 3, padding="causal", dilation_rate=2)),
    (SERIES, partial(layers.Conv1D, 6, 3, padding="same", strides=2)),
    (SERIES, partial(layers.Conv1D, 6, 3, groups=2, activation="relu")),
    (SERIES, partial(layers.Conv1D, 6, 3, padding="same", dilation_rate=3, use_bias=False)),
    (IMAGE, partial(layers.Conv2D, 6, (3, 2))),
    (IMAGE, partial(layers.Conv2D, 6, (3, 2), padding="same")),
    (IMAGE, partial(layers.Conv2D, 6, (3, 2), padding="same", strides=2)),
    (IMAGE, partial(layers.Conv2D, 6, (3, 2), padding="same", strides=(3, 1))),
    (IMAGE, partial(layers.Conv2D, 6, (3, 2), groups=2)),
    (IMAGE, partial(layers.Conv2D, 6, (3, 2), padding="same", dilation_rate=(2, 1), activation="gelu")),
    (IMAGE, partial(layers.Conv2D, 6, 1, padding="same", strides=2)),
    (IMAGE, partial(layers.Conv2D, 6, 2, padding="same", strides=3)),
    (IMAGE, partial(layers.Conv2D, 6, 5, padding="same", strides=2)),
    (VOLUME, partial(layers.Conv3D, 3, 2, padding="same", strides=2)),
    (VOLUME, partial(layers.Conv3D, 3, (1, 2, 3))),
    (SERIES, partial(layers.DepthwiseConv1D, 3, depth_multiplier=2)),
    (SERIES, partial(layers.DepthwiseConv1D, 3, padding="same", strides=2)),
    (IMAGE, partial(layers.DepthwiseConv2D, 3, depth_multiplier=2)),
    (IMAGE, partial(layers.DepthwiseConv2D, 3, padding="same", strides=2)),
    (IMAGE, partial(layers.DepthwiseConv2D, 3, dilation_rate=2, use_bias=False)),
    (SERIES, partial(layers.SeparableConv1D, 5, 3, depth_multiplier=2)),
    (SERIES, partial(layers.SeparableConv1D, 5, 3, padding="same", strides=2)),
    (IMAGE, partial(layers.SeparableConv2D, 5, 3, depth_multiplier=2, activation="tanh")),
    (IMAGE, partial(layers.SeparableConv2D, 5, 3, padding="same", strides=2)),
    *(
        (SERIES, partial(layers.Conv1DTranspose, 5, size, padding=padding, strides=strides))
        for size in (1, 2, 3, 4)
        for padding in ("valid", "same")
        for strides in (1, 2, 3)
    ),
    (IMAGE, partial(layers.Conv2DTranspose, 5, 3, padding="same", strides=2, output_padding=1)),
    (IMAGE, partial(layers.Conv2DTranspose, 5, (3, 2), dilation_rate=2)),
    (VOLUME, partial(layers.Conv3DTranspose, 3, 3, padding="same", strides=2)),
]

POOLING = [
    *(
        (SERIES, partial(pool, 3, 2, padding=p))
        for pool in (layers.MaxPooling1D, layers.AveragePooling1D)
        for p in PADDINGS
    ),
    *((IMAGE, partial(layers.MaxPooling2D, (2, 3), padding=p)) for p in PADDINGS),
    *((IMAGE, partial(layers.AveragePooling2D, size, padding="valid")) for size in (2, (2, 3))),
    *(
        (IMAGE, partial(pool, 3, 1, padding="same"))
        for pool in (layers.MaxPooling2D, layers.AveragePooling2D)
    ),
    *(
        (VOLUME, partial(pool, 2, padding=p))
        for pool in (layers.MaxPooling3D, layers.AveragePooling3D)
        for p in PADDINGS
    ),
    *(
        (SERIES, partial(pool, keepdims=k))
        for pool in (layers.GlobalMaxPooling1D, layers.GlobalAveragePooling1D)
        for k in BOTH
    ),
    *(
        (IMAGE, partial(pool, keepdims=k))
        for pool in (layers.GlobalMaxPooling2D, layers.GlobalAveragePooling2D)
        for k in BOTH
    ),
    *(
        (VOLUME, partial(pool, keepdims=k))
        for pool in (layers.GlobalMaxPooling3D, layers.GlobalAveragePooling3D)
        for k in BOTH
    ),
]

NORMALIZATIONS = [
    *(
        ((5,), c)
        for c in (
            layers.BatchNormalization,
            layers.LayerNormalization,
            layers.RMSNormalization,
            layers.UnitNormalization,
        )
    ),
    *((shape, layers.BatchNormalization) for shape in (SERIES, IMAGE, VOLUME)),
    (IMAGE, partial(layers.BatchNormalization, axis=1)),
    (IMAGE, partial(layers.BatchNormalization, scale=False, epsilon=0.1)),
    (IMAGE, partial(layers.BatchNormalization, center=False)),
    (IMAGE, partial(layers.BatchNormalization, center=False, scale=False)),
    (IMAGE, partial(layers.LayerNormalization, axis=(2, 3))),
    (SERIES, partial(layers.LayerNormalization, center=False, epsilon=0.1)),
    (SERIES, partial(layers.LayerNormalization, scale=False)),
    (IMAGE, partial(layers.GroupNormalization, 2)),
    (IMAGE, partial(layers.GroupNormalization, 3, axis=1)),
    (IMAGE, partial(layers.GroupNormalization, -1, scale=False)),
    (SERIES, partial(layers.GroupNormalization, 2)),
    (SERIES, layers.RMSNormalization),
    (IMAGE, partial(layers.UnitNormalization, axis=(1, 2))),
    (IMAGE, partial(layers.SpectralNormalization, layers.Conv2D(3, 3))),
    (IMAGE, partial(layers.Normalization, mean=[0.1, 0.2, 0.3, 0.4], variance=[1.0, 2.0, 0.5, 0.0])),
    (SERIES, partial(layers.Normalization, axis=None, mean=0.5, variance=4.0)),
    (SERIES, partial(layers.Normalization, axis=None, mean=0.5, variance=4.0, invert=True)),
]

DENSE = [
    ((4,), partial(layers.Dense, 3)),
    ((4,), partial(layers.Dense, 3, use_bias=False, activation="softmax")),
    ((5, 4), partial(layers.Dense, 3, activation="relu")),
    (IMAGE, partial(layers.Dense, 3, activation="softmax")),
    ((5, 4), partial(layers.EinsumDense, "abc,cd->abd", (None, 3), bias_axes="d", activation="relu")),
    ((5, 4), partial(layers.EinsumDense, "...x,xy->...y", 3)),
    ((5, 4), partial(layers.EinsumDense, "abc,cde->abde", (None, 2, 3), bias_axes="de")),
]

APPLICATIONS = [
    (IMAGE, partial(convnext.LayerScale, 0.1, 4)),
    (IMAGE, partial(convnext.StochasticDepth, 0.5)),
]

RESHAPING = [
    (IMAGE, layers.Flatten),
    (IMAGE_FIRST, partial(layers.Flatten, **FIRST)),
    ((), layers.Flatten),
    (IMAGE, partial(layers.Reshape, (-1, 4))),
    ((12,), partial(layers.Reshape, (2, 3, 2))),
    (IMAGE, partial(layers.Permute, (3, 1, 2))),
    ((4,), partial(layers.RepeatVector, 3)),
    (SERIES, partial(layers.Cropping1D, (2, 1))),
    (IMAGE, partial(layers.Cropping2D, ((1, 0), (2, 1)))),
    (IMAGE_FIRST, partial(layers.Cropping2D, ((1, 0), (2, 1)), **FIRST)),
    (VOLUME, partial(layers.Cropping3D, 1)),
    (SERIES, partial(layers.ZeroPadding1D, (2, 1))),
    (IMAGE, partial(layers.ZeroPadding2D, ((1, 0), (2, 1)))),
    (IMAGE_FIRST, partial(layers.ZeroPadding2D, ((1, 0), (2, 1)), **FIRST)),
    (VOLUME, partial(layers.ZeroPadding3D, ((1, 2), (0, 1), (3, 0)))),
    (SERIES, partial(layers.UpSampling1D, 3)),
    (IMAGE, partial(layers.UpSampling2D, (2, 3))),
    (IMAGE, partial(layers.UpSampling2D, 2, interpolation="bilinear")),
    (IMAGE_FIRST, partial(layers.UpSampling2D, (2, 3), **FIRST)),
    (VOLUME, partial(layers.UpSampling3D, (1, 2, 3))),
]

SIMPLE = [
    *(((3, 6), partial(layers.Activation, name)) for name in ACTIVATIONS),
    *(
        (IMAGE, c)
        for c in (layers.ReLU, layers.LeakyReLU, layers.PReLU, layers.ELU, layers.Softmax, layers.Identity)
    ),
    (IMAGE, partial(layers.ReLU, max_value=1.0, negative_slope=0.2, threshold=0.1)),
    (IMAGE, partial(layers.ReLU, 6)),
    (IMAGE, partial(layers.ReLU, negative_slope=0.3)),
    (IMAGE, partial(layers.PReLU, shared_axes=(1, 2))),
    (IMAGE, partial(layers.Softmax, axis=(1, 2))),
    (IMAGE, partial(layers.Softmax, axis=1)),
    (IMAGE, partial(layers.Rescaling, 0.5, -1.0)),
    (IMAGE, partial(layers.Rescaling, [0.5, 1.0, 2.0, 3.0], [1.0, 0.0, 2.0, 0.5])),
    (IMAGE, partial(layers.Resizing, 5, 11)),
    (IMAGE, partial(layers.Resizing, 18, 4, interpolation="nearest")),
    *(
        (IMAGE, c)
        for c in (
            partial(layers.Dropout, 0.5),
            partial(layers.SpatialDropout2D, 0.5),
            partial(layers.GaussianNoise, 1.0),
            partial(layers.GaussianDropout, 0.5),
            partial(layers.AlphaDropout, 0.5),
            partial(layers.ActivityRegularization, 0.1),
        )
    ),
]

ALONE = [*APPLICATIONS, *CONVOLUTIONS, *POOLING, *NORMALIZATIONS, *DENSE, *RESHAPING, *SIMPLE]


@pytest.mark.parametrize(
    ("shape", "make"), ALONE, ids=[f"{n}-{make().__class__.__name__}" for n, (_, make) in enumerate(ALONE)]
)
def test_a_layer_alone(shape, make, lowered, floats):
    model = keras.Sequential([keras.Input(shape), make()])
    lowered(model, floats(1, *shape), floats(3, *shape))


# After a convolution, whose channels are still in front.
BETWEEN = [make for shape, make in ALONE if shape == IMAGE]


@pytest.mark.parametrize(
    "make", BETWEEN, ids=[f"{n}-{make().__class__.__name__}" for n, make in enumerate(BETWEEN)]
)
def test_a_layer_between_convolutions(make, lowered, floats):
    layer = make()
    model = keras.Sequential([keras.Input(IMAGE), layers.Conv2D(4, 1), layer])
    lowered(model, floats(2, *IMAGE))


@pytest.mark.parametrize("size", range(5, 9))
@pytest.mark.parametrize("make", [layers.Conv2D, layers.SeparableConv2D])
def test_same_padding_at_sizes_that_are_not_known(make, size, lowered, floats):
    model = keras.Sequential(
        [
            keras.Input((None, None, 2)),
            make(3, 3, strides=2, padding="same"),
            layers.AveragePooling2D(2, padding="same"),
            layers.MaxPooling2D(3, 2, padding="same"),
        ]
    )
    lowered(model, floats(2, size, size + 1, 2))


def test_an_average_counts_only_what_is_there(floats):
    """Keras 3.15.1 itself counts the padding on PyTorch where it is uneven, so numpy says what is right."""
    x = floats(2, 5, 8, 1)
    module = lowering.to_torch(
        keras.Sequential([keras.Input((5, 8, 1)), layers.AveragePooling2D((2, 3), padding="same")])
    )
    means = [x[:, i : i + 2, j : j + 3, 0].mean((1, 2)) for i in (0, 2, 4) for j in (0, 3, 6)]
    np.testing.assert_allclose(run(module, x)[0].reshape(2, 9), np.stack(means, 1), rtol=1e-5)


CHANNELS_FIRST = [
    partial(layers.AveragePooling2D, 2, **FIRST),
    partial(layers.MaxPooling2D, 2, **FIRST),
    partial(layers.GlobalAveragePooling2D, **FIRST),
    partial(layers.GlobalMaxPooling2D, keepdims=True, **FIRST),
]


@pytest.mark.parametrize("make", CHANNELS_FIRST)
def test_a_layer_of_channels_first(make, lowered, floats):
    lowered(keras.Sequential([keras.Input(IMAGE_FIRST), make()]), floats(2, *IMAGE_FIRST))


MERGES = [
    layers.Add,
    layers.Subtract,
    layers.Multiply,
    layers.Average,
    layers.Maximum,
    layers.Minimum,
    layers.Concatenate,
    partial(layers.Concatenate, axis=1),
]


@pytest.mark.parametrize("make", MERGES)
@pytest.mark.parametrize("convolved", [0, 1, 2])
def test_merges_of_values_that_lie_alike_or_not(make, convolved, lowered, floats):
    first, second = keras.Input(IMAGE), keras.Input(IMAGE)
    x = layers.Conv2D(4, 1)(first) if convolved else first
    y = layers.Conv2D(4, 1)(second) if convolved == 2 else second
    model = keras.Model([first, second], make()([x, y]))
    lowered(model, [floats(2, *IMAGE), floats(2, *IMAGE)])


@pytest.mark.parametrize(
    ("axes", "normalize", "shapes"),
    [
        (1, False, ((4,), (4,))),
        (-1, True, ((3, 4), (5, 4))),
        ((2, 1), False, ((3, 4), (4, 5))),
        ((1, 3), False, ((4,), (2, 3, 4))),
    ],
)
def test_dot(axes, normalize, shapes, lowered, floats):
    inputs = [keras.Input(shape) for shape in shapes]
    model = keras.Model(inputs, layers.Dot(axes, normalize)(inputs))
    lowered(model, [floats(2, *shape) for shape in shapes])


def test_merges_of_other_ranks(lowered, floats):
    first, second = keras.Input((3, 4)), keras.Input((4,))
    lowered(keras.Model([first, second], layers.Add()([first, second])), [floats(2, 3, 4), floats(2, 4)])


@pytest.mark.parametrize(
    "make",
    [
        partial(layers.CategoryEncoding, 5, "multi_hot"),
        partial(layers.CategoryEncoding, 5, "count"),
        partial(layers.Embedding, 5, 3),
    ],
)
def test_integers(make, lowered):
    rng = np.random.default_rng(0)
    model = keras.Sequential([keras.Input((4,), dtype="int32"), make()])
    lowered(model, *(rng.integers(0, 5, (batch, 4)).astype("int32") for batch in (1, 3)))


def test_one_hot(lowered):
    model = keras.Sequential([keras.Input((1,), dtype="int32"), layers.CategoryEncoding(5, "one_hot")])
    lowered(model, np.array([[1], [4]], "int32"))


@pytest.mark.parametrize("mode", ["int", "one_hot", "multi_hot", "count"])
def test_discretization(mode, lowered, floats):
    model = keras.Sequential(
        [
            keras.Input((1 if mode == "one_hot" else 4,)),
            layers.Discretization([-1.0, 0.0, 0.5], output_mode=mode),
        ]
    )
    lowered(model, floats(3, 1 if mode == "one_hot" else 4))


def test_embeddings_of_floats(lowered):
    lowered(
        keras.Sequential([keras.Input((4,)), layers.Embedding(5, 3)]),
        np.array([[0.0, 1.0, 4.0, 2.0]], "float32"),
    )
