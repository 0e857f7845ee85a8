"""Convolutions of each rank and kind, with every padding, on odd and on even sizes."""

from __future__ import annotations

import keras
from keras import layers

from helpers.corpus._branches import branches

ODD_AND_EVEN = (9, 8, 4)
FIRST = {"data_format": "channels_first"}


def conv1d():
    return branches(
        (11, 4),
        layers.Conv1D(6, 3),
        layers.Conv1D(6, 3, padding="same", strides=2),
        layers.Conv1D(6, 2, padding="same", dilation_rate=3, use_bias=False),
        layers.Conv1D(6, 3, padding="causal", dilation_rate=2, activation="relu"),
        layers.Conv1D(6, 3, groups=2),
        layers.SeparableConv1D(5, 3, depth_multiplier=2),
        layers.SeparableConv1D(5, 3, padding="same", strides=2),
        layers.DepthwiseConv1D(3, depth_multiplier=2),
        layers.DepthwiseConv1D(3, padding="same", strides=2),
    )


def conv1d_free_time():
    stack = [layers.Conv1D(6, 3, padding="causal", dilation_rate=rate, activation="relu") for rate in (1, 2)]
    last = [layers.Conv1D(6, 3, padding="same"), layers.GlobalMaxPooling1D(), layers.Dense(3)]
    return keras.Sequential([keras.Input((None, 4)), *stack, *last])


def conv2d_valid():
    return branches(
        ODD_AND_EVEN,
        layers.Conv2D(6, (3, 2)),
        layers.Conv2D(6, 3, strides=(3, 2)),
        layers.Conv2D(6, 2, dilation_rate=(2, 1), activation="gelu"),
        [layers.Conv2D(6, 3, activation="relu"), layers.MaxPooling2D(), layers.Flatten(), layers.Dense(3)],
    )


def conv2d_same():
    return branches(
        ODD_AND_EVEN,
        layers.Conv2D(6, (3, 2), padding="same"),
        layers.Conv2D(6, (3, 2), padding="same", strides=2),
        layers.Conv2D(6, 1, padding="same", strides=2),
        layers.Conv2D(6, 2, padding="same", strides=3),
        layers.Conv2D(6, 5, padding="same", strides=2),
        layers.Conv2D(6, (3, 2), padding="same", dilation_rate=(2, 1)),
        layers.MaxPooling2D((2, 3), padding="same"),
    )


def conv2d_grouped():
    return branches(
        ODD_AND_EVEN,
        layers.Conv2D(6, 3, groups=2),
        layers.Conv2D(8, (3, 2), groups=4, padding="same", strides=2, activation="relu"),
    )


def depthwise():
    return branches(
        ODD_AND_EVEN,
        layers.DepthwiseConv2D(3, depth_multiplier=2),
        layers.DepthwiseConv2D(3, padding="same", strides=2),
        layers.DepthwiseConv2D(3, dilation_rate=2, use_bias=False),
    )


def separable():
    return branches(
        ODD_AND_EVEN,
        layers.SeparableConv2D(5, 3, depth_multiplier=2, activation="tanh"),
        layers.SeparableConv2D(5, 3, padding="same", strides=2),
    )


def transposed_1d():
    options = [
        (size, strides, padding)
        for size in (1, 2, 3, 4)
        for strides in (1, 2, 3)
        for padding in ("valid", "same")
    ]
    return branches(
        (7, 4), *(layers.Conv1DTranspose(3, size, strides, padding) for size, strides, padding in options)
    )


def transposed_2d():
    return branches(
        ODD_AND_EVEN,
        layers.Conv2DTranspose(5, 3, padding="same", strides=2),
        layers.Conv2DTranspose(5, 3, padding="same", strides=2, output_padding=1),
        layers.Conv2DTranspose(5, (2, 4), strides=(2, 3), activation="relu"),
        layers.Conv2DTranspose(5, (3, 2), dilation_rate=2),
    )


def conv3d():
    return branches(
        (5, 6, 4, 2),
        layers.Conv3D(3, 2, padding="same", strides=2),
        layers.Conv3D(3, (1, 2, 3)),
        [layers.Conv3D(3, 3, padding="same", activation="relu"), layers.MaxPooling3D(), layers.Flatten()],
    )


def transposed_3d():
    return branches((3, 4, 2, 2), layers.Conv3DTranspose(3, 3, padding="same", strides=2))


def channels_first():
    x = keras.Input((3, 17, 16), name="x")
    y = layers.Conv2D(6, 3, padding="same", strides=2, activation="relu", **FIRST)(x)
    y = layers.MaxPooling2D(**FIRST)(layers.BatchNormalization(axis=1)(y))
    y = layers.DepthwiseConv2D(2, **FIRST)(layers.SeparableConv2D(5, 3, padding="same", **FIRST)(y))
    flat = layers.Flatten(**FIRST)(layers.ZeroPadding2D(((1, 0), (0, 2)), **FIRST)(y))
    return keras.Model(x, [layers.GlobalAveragePooling2D(**FIRST)(y), layers.Dense(3)(flat)])


def segments_free_size():
    x = keras.Input((None, None, 3), name="x")
    y = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(x)
    up = layers.UpSampling2D()(layers.DepthwiseConv2D(3, padding="same")(y))
    back = layers.Conv2DTranspose(3, 3, strides=2, padding="same")(y)
    return keras.Model(x, layers.Conv2D(2, 1, activation="softmax")(layers.Concatenate()([up, back])))


MODELS = {
    make.__name__: make
    for make in (
        conv1d,
        conv1d_free_time,
        conv2d_valid,
        conv2d_same,
        conv2d_grouped,
        depthwise,
        separable,
        transposed_1d,
        transposed_2d,
        conv3d,
        transposed_3d,
        channels_first,
        segments_free_size,
    )
}
