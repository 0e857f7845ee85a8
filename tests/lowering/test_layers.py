"""Every kind of layer, alone in a model: a row is a shape of one sample and layers."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers as L

FIRST = {"data_format": "channels_first"}
ACTIVATIONS = sorted(
    name for name in dir(keras.activations) if name not in ("deserialize", "get", "serialize", "threshold") and name[0] != "_"
)

IMAGE, IMAGE_FIRST, SERIES, VOLUME = (9, 8, 4), (4, 9, 8), (11, 4), (5, 6, 4, 2)

CONVOLUTIONS = [
    (shape, make(**options))
    for shape, make, options in [
        *((SERIES, lambda **o: (lambda: L.Conv1D(6, 3, **o)), o) for o in (
            {}, {"padding": "same"}, {"padding": "causal", "dilation_rate": 2}, {"padding": "same", "strides": 2},
            {"groups": 2, "activation": "relu"}, {"padding": "same", "dilation_rate": 3, "use_bias": False})),
        *((IMAGE, lambda **o: (lambda: L.Conv2D(6, (3, 2), **o)), o) for o in (
            {}, {"padding": "same"}, {"padding": "same", "strides": 2}, {"padding": "same", "strides": (3, 1)},
            {"groups": 2}, {"padding": "same", "dilation_rate": (2, 1), "activation": "gelu"})),
        (IMAGE, lambda **o: (lambda: L.Conv2D(6, 1, **o)), {"padding": "same", "strides": 2}),
        (IMAGE, lambda **o: (lambda: L.Conv2D(6, 2, **o)), {"padding": "same", "strides": 3}),
        (IMAGE, lambda **o: (lambda: L.Conv2D(6, 5, **o)), {"padding": "same", "strides": 2}),
        (VOLUME, lambda **o: (lambda: L.Conv3D(3, 2, **o)), {"padding": "same", "strides": 2}),
        (VOLUME, lambda **o: (lambda: L.Conv3D(3, (1, 2, 3), **o)), {}),
        *((SERIES, lambda **o: (lambda: L.DepthwiseConv1D(3, **o)), o) for o in (
            {"depth_multiplier": 2}, {"padding": "same", "strides": 2})),
        *((IMAGE, lambda **o: (lambda: L.DepthwiseConv2D(3, **o)), o) for o in (
            {"depth_multiplier": 2}, {"padding": "same", "strides": 2}, {"dilation_rate": 2, "use_bias": False})),
        *((SERIES, lambda **o: (lambda: L.SeparableConv1D(5, 3, **o)), o) for o in (
            {"depth_multiplier": 2}, {"padding": "same", "strides": 2})),
        *((IMAGE, lambda **o: (lambda: L.SeparableConv2D(5, 3, **o)), o) for o in (
            {"depth_multiplier": 2, "activation": "tanh"}, {"padding": "same", "strides": 2})),
        *((SERIES, lambda k, **o: (lambda: L.Conv1DTranspose(5, k, **o)), {"k": k, "padding": p, "strides": s})
          for k in (1, 2, 3, 4) for p in ("valid", "same") for s in (1, 2, 3)),
        (IMAGE, lambda **o: (lambda: L.Conv2DTranspose(5, 3, **o)), {"padding": "same", "strides": 2, "output_padding": 1}),
        (IMAGE, lambda **o: (lambda: L.Conv2DTranspose(5, (3, 2), **o)), {"dilation_rate": 2}),
        (VOLUME, lambda **o: (lambda: L.Conv3DTranspose(3, 3, **o)), {"padding": "same", "strides": 2}),
    ]
]  # fmt: skip

POOLING = [
    *((SERIES, lambda c=c, p=p: c(3, 2, padding=p)) for c in (L.MaxPooling1D, L.AveragePooling1D) for p in ("valid", "same")),
    *((IMAGE, lambda c=c, p=p: c((2, 3), padding=p)) for c in (L.MaxPooling2D, L.AveragePooling2D) for p in ("valid", "same")),
    *((IMAGE, lambda c=c: c(3, 1, padding="same")) for c in (L.MaxPooling2D, L.AveragePooling2D)),
    *((VOLUME, lambda c=c, p=p: c(2, padding=p)) for c in (L.MaxPooling3D, L.AveragePooling3D) for p in ("valid", "same")),
    *((shape, lambda c=c, k=k: c(keepdims=k))
      for k in (False, True)
      for shape, c in ((SERIES, L.GlobalAveragePooling1D), (SERIES, L.GlobalMaxPooling1D), (IMAGE, L.GlobalAveragePooling2D),
                       (IMAGE, L.GlobalMaxPooling2D), (VOLUME, L.GlobalAveragePooling3D), (VOLUME, L.GlobalMaxPooling3D))),
]  # fmt: skip

NORMALIZATIONS = [
    *(((5,), c) for c in (L.BatchNormalization, L.LayerNormalization, L.RMSNormalization, L.UnitNormalization)),
    *((shape, L.BatchNormalization) for shape in (SERIES, IMAGE, VOLUME)),
    (IMAGE, lambda: L.BatchNormalization(axis=1)),
    (IMAGE, lambda: L.BatchNormalization(scale=False, epsilon=0.1)),
    (IMAGE, lambda: L.BatchNormalization(center=False)),
    (IMAGE, lambda: L.BatchNormalization(center=False, scale=False)),
    (IMAGE, lambda: L.LayerNormalization(axis=(2, 3))),
    (SERIES, lambda: L.LayerNormalization(center=False, epsilon=0.1)),
    (SERIES, lambda: L.LayerNormalization(scale=False)),
    (IMAGE, lambda: L.GroupNormalization(2)),
    (IMAGE, lambda: L.GroupNormalization(3, axis=1)),
    (IMAGE, lambda: L.GroupNormalization(-1, scale=False)),
    (SERIES, lambda: L.GroupNormalization(2)),
    (SERIES, L.RMSNormalization),
    (IMAGE, lambda: L.UnitNormalization(axis=(1, 2))),
    (IMAGE, lambda: L.SpectralNormalization(L.Conv2D(3, 3))),
    (IMAGE, lambda: L.Normalization(mean=[0.1, 0.2, 0.3, 0.4], variance=[1.0, 2.0, 0.5, 0.0])),
    (SERIES, lambda: L.Normalization(axis=None, mean=0.5, variance=4.0)),
    (SERIES, lambda: L.Normalization(axis=None, mean=0.5, variance=4.0, invert=True)),
]

DENSE = [
    ((4,), lambda: L.Dense(3)),
    ((4,), lambda: L.Dense(3, use_bias=False, activation="softmax")),
    ((5, 4), lambda: L.Dense(3, activation="relu")),
    (IMAGE, lambda: L.Dense(3, activation="softmax")),
    ((5, 4), lambda: L.EinsumDense("abc,cd->abd", (None, 3), bias_axes="d", activation="relu")),
    ((5, 4), lambda: L.EinsumDense("...x,xy->...y", 3)),
    ((5, 4), lambda: L.EinsumDense("abc,cde->abde", (None, 2, 3), bias_axes="de")),
]

RESHAPING = [
    (IMAGE, L.Flatten),
    (IMAGE_FIRST, lambda: L.Flatten(**FIRST)),
    ((), L.Flatten),
    (IMAGE, lambda: L.Reshape((-1, 4))),
    ((12,), lambda: L.Reshape((2, 3, 2))),
    (IMAGE, lambda: L.Permute((3, 1, 2))),
    ((4,), lambda: L.RepeatVector(3)),
    (SERIES, lambda: L.Cropping1D((2, 1))),
    (IMAGE, lambda: L.Cropping2D(((1, 0), (2, 1)))),
    (IMAGE_FIRST, lambda: L.Cropping2D(((1, 0), (2, 1)), **FIRST)),
    (VOLUME, lambda: L.Cropping3D(1)),
    (SERIES, lambda: L.ZeroPadding1D((2, 1))),
    (IMAGE, lambda: L.ZeroPadding2D(((1, 0), (2, 1)))),
    (IMAGE_FIRST, lambda: L.ZeroPadding2D(((1, 0), (2, 1)), **FIRST)),
    (VOLUME, lambda: L.ZeroPadding3D(((1, 2), (0, 1), (3, 0)))),
    (SERIES, lambda: L.UpSampling1D(3)),
    (IMAGE, lambda: L.UpSampling2D((2, 3))),
    (IMAGE, lambda: L.UpSampling2D(2, interpolation="bilinear")),
    (IMAGE_FIRST, lambda: L.UpSampling2D((2, 3), **FIRST)),
    (VOLUME, lambda: L.UpSampling3D((1, 2, 3))),
]

SIMPLE = [
    *(((3, 6), lambda name=name: L.Activation(name)) for name in ACTIVATIONS),
    *((IMAGE, lambda c=c: c()) for c in (L.ReLU, L.LeakyReLU, L.PReLU, L.ELU, L.Softmax, L.Identity)),
    (IMAGE, lambda: L.ReLU(max_value=1.0, negative_slope=0.2, threshold=0.1)),
    (IMAGE, lambda: L.ReLU(6)),
    (IMAGE, lambda: L.ReLU(negative_slope=0.3)),
    (IMAGE, lambda: L.PReLU(shared_axes=(1, 2))),
    (IMAGE, lambda: L.Softmax(axis=(1, 2))),
    (IMAGE, lambda: L.Softmax(axis=1)),
    (IMAGE, lambda: L.Rescaling(0.5, -1.0)),
    (IMAGE, lambda: L.Rescaling([0.5, 1.0, 2.0, 3.0], [1.0, 0.0, 2.0, 0.5])),
    (IMAGE, lambda: L.Resizing(5, 11)),
    (IMAGE, lambda: L.Resizing(18, 4, interpolation="nearest")),
    *((IMAGE, c) for c in (
        lambda: L.Dropout(0.5), lambda: L.SpatialDropout2D(0.5), lambda: L.GaussianNoise(1.0), lambda: L.GaussianDropout(0.5),
        lambda: L.AlphaDropout(0.5), lambda: L.ActivityRegularization(0.1))),
]  # fmt: skip

ALONE = [*CONVOLUTIONS, *POOLING, *NORMALIZATIONS, *DENSE, *RESHAPING, *SIMPLE]


@pytest.mark.parametrize(("shape", "make"), ALONE, ids=[f"{n}-{make().__class__.__name__}" for n, (_, make) in enumerate(ALONE)])
def test_a_layer_alone(shape, make, lowered, floats):
    model = keras.Sequential([keras.Input(shape), make()])
    lowered(model, floats(1, *shape), floats(3, *shape))


# After a convolution, whose channels are still in front.
BETWEEN = [make for shape, make in ALONE if shape == IMAGE]


@pytest.mark.parametrize("make", BETWEEN, ids=[f"{n}-{make().__class__.__name__}" for n, make in enumerate(BETWEEN)])
def test_a_layer_between_convolutions(make, lowered, floats):
    layer = make()
    model = keras.Sequential([keras.Input(IMAGE), L.Conv2D(4, 1), layer])
    lowered(model, floats(2, *IMAGE))


@pytest.mark.parametrize("size", range(5, 9))
@pytest.mark.parametrize("make", [L.Conv2D, L.SeparableConv2D])
def test_same_padding_at_sizes_that_are_not_known(make, size, lowered, floats):
    model = keras.Sequential([keras.Input((None, None, 2)), make(3, 3, strides=2, padding="same"), L.AveragePooling2D(2, padding="same"), L.MaxPooling2D(3, 2, padding="same")])
    lowered(model, floats(2, size, size + 1, 2))


CHANNELS_FIRST = [
    lambda: L.AveragePooling2D(2, **FIRST),
    lambda: L.MaxPooling2D(2, **FIRST),
    lambda: L.GlobalAveragePooling2D(**FIRST),
    lambda: L.GlobalMaxPooling2D(keepdims=True, **FIRST),
]


@pytest.mark.parametrize("make", CHANNELS_FIRST)
def test_a_layer_of_channels_first(make, lowered, floats):
    lowered(keras.Sequential([keras.Input(IMAGE_FIRST), make()]), floats(2, *IMAGE_FIRST))


MERGES = [L.Add, L.Subtract, L.Multiply, L.Average, L.Maximum, L.Minimum, L.Concatenate, lambda: L.Concatenate(axis=1)]


@pytest.mark.parametrize("make", MERGES)
@pytest.mark.parametrize("convolved", [0, 1, 2])
def test_merges_of_values_that_lie_alike_or_not(make, convolved, lowered, floats):
    first, second = keras.Input(IMAGE), keras.Input(IMAGE)
    x = L.Conv2D(4, 1)(first) if convolved else first
    y = L.Conv2D(4, 1)(second) if convolved == 2 else second
    model = keras.Model([first, second], make()([x, y]))
    lowered(model, [floats(2, *IMAGE), floats(2, *IMAGE)])


@pytest.mark.parametrize(("axes", "normalize", "shapes"), [
    (1, False, ((4,), (4,))), (-1, True, ((3, 4), (5, 4))), ((2, 1), False, ((3, 4), (4, 5))), ((1, 3), False, ((4,), (2, 3, 4))),
])  # fmt: skip
def test_dot(axes, normalize, shapes, lowered, floats):
    inputs = [keras.Input(shape) for shape in shapes]
    model = keras.Model(inputs, L.Dot(axes, normalize)(inputs))
    lowered(model, [floats(2, *shape) for shape in shapes])


def test_merges_of_other_ranks(lowered, floats):
    first, second = keras.Input((3, 4)), keras.Input((4,))
    lowered(keras.Model([first, second], L.Add()([first, second])), [floats(2, 3, 4), floats(2, 4)])


@pytest.mark.parametrize("make", [
    lambda: L.CategoryEncoding(5, "multi_hot"), lambda: L.CategoryEncoding(5, "count"), lambda: L.Embedding(5, 3),
])  # fmt: skip
def test_integers(make, lowered):
    rng = np.random.default_rng(0)
    model = keras.Sequential([keras.Input((4,), dtype="int32"), make()])
    lowered(model, *(rng.integers(0, 5, (batch, 4)).astype("int32") for batch in (1, 3)))


def test_one_hot(lowered):
    model = keras.Sequential([keras.Input((1,), dtype="int32"), L.CategoryEncoding(5, "one_hot")])
    lowered(model, np.array([[1], [4]], "int32"))


@pytest.mark.parametrize("mode", ["int", "one_hot", "multi_hot", "count"])
def test_discretization(mode, lowered, floats):
    model = keras.Sequential([keras.Input((1 if mode == "one_hot" else 4,)), L.Discretization([-1.0, 0.0, 0.5], output_mode=mode)])
    lowered(model, floats(3, 1 if mode == "one_hot" else 4))


def test_embeddings_of_floats(lowered):
    lowered(keras.Sequential([keras.Input((4,)), L.Embedding(5, 3)]), np.array([[0.0, 1.0, 4.0, 2.0]], "float32"))
