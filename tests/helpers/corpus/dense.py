"""Products, embeddings, normalizations and activations with weights."""

from __future__ import annotations

from keras import layers

from helpers.corpus._branches import branches


def einsum():
    return branches(
        (5, 4),
        layers.Dense(3, "softmax", use_bias=False),
        layers.EinsumDense("abc,cd->abd", (None, 3), bias_axes="d", activation="relu"),
        layers.EinsumDense("...x,xy->...y", 3),
        layers.EinsumDense("abc,cde->abde", (None, 2, 3), bias_axes="de"),
    )


def embedding():
    return branches(
        (10,),
        [layers.Embedding(30, 6), layers.Flatten(), layers.Dense(3)],
        [layers.Embedding(30, 6), layers.GlobalAveragePooling1D()],
        dtype="int32",
    )


def normalized_rows():
    return branches(
        (6, 8),
        layers.BatchNormalization(),
        layers.LayerNormalization(),
        layers.LayerNormalization(axis=(1, 2), center=False, epsilon=0.1),
        layers.RMSNormalization(),
        layers.UnitNormalization(),
        layers.GroupNormalization(2),
    )


def normalized_pictures():
    return branches(
        (9, 8, 4),
        layers.BatchNormalization(scale=False, epsilon=0.1),
        layers.BatchNormalization(axis=1),
        layers.LayerNormalization(axis=(2, 3)),
        layers.GroupNormalization(2),
        layers.GroupNormalization(3, axis=1),
        layers.GroupNormalization(-1, scale=False),
    )


def spectral():
    return branches(
        (9, 8, 4),
        layers.SpectralNormalization(layers.Conv2D(3, 3)),
        [layers.Flatten(), layers.SpectralNormalization(layers.Dense(5), power_iterations=2)],
    )


def activations():
    names = ("gelu", "silu", "mish", "hard_sigmoid", "softplus", "selu", "relu6", "log_softmax")
    return branches(
        (7, 4),
        layers.PReLU(),
        layers.PReLU(shared_axes=[1]),
        layers.LeakyReLU(0.2),
        layers.ELU(0.5),
        *map(layers.Activation, names),
    )


MODELS = {
    make.__name__: make
    for make in (einsum, embedding, normalized_rows, normalized_pictures, spectral, activations)
}
