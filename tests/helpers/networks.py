"""Keras models that leave as torch modules, one for each kind of network, and what is asked of both."""

from __future__ import annotations

import warnings

import keras
import numpy as np
from keras import layers


def perceptron():
    return keras.Sequential(
        [
            keras.Input((16,)),
            layers.Dense(32, activation="relu", name="hidden"),
            layers.Dense(4, activation="softmax", name="out"),
        ],
        name="perceptron",
    )


def digits(dropout=0.0):
    return keras.Sequential(
        [
            keras.Input((12, 10, 3)),
            layers.Rescaling(1 / 255, name="rescaling"),
            layers.Conv2D(8, 3, padding="same", use_bias=False, name="conv1"),
            layers.BatchNormalization(name="bn1"),
            layers.ReLU(),
            layers.MaxPooling2D(name="pool1"),
            layers.Conv2D(6, 3, strides=2, padding="same", activation="relu", name="conv2"),
            layers.Flatten(),
            layers.Dropout(dropout, name="dropout"),
            layers.Dense(7, name="hidden"),
            layers.BatchNormalization(name="bn2"),
            layers.Dense(10, name="fc"),
        ],
        name="digits",
    )


def _block(x, filters, name, stride=1):
    shortcut = x
    for number, step in enumerate((stride, 1), 1):
        x = layers.Conv2D(filters, 3, step, "same", use_bias=False, name=f"{name}_conv{number}")(x)
        x = layers.BatchNormalization(name=f"{name}_bn{number}")(x)
        x = layers.Activation("relu")(x) if number == 1 else x
    if stride > 1:
        shortcut = layers.Conv2D(filters, 1, stride, name=f"{name}_shortcut")(shortcut)
    return layers.Activation("relu")(layers.Add()([x, shortcut]))


def residual():
    image = keras.Input((8, 8, 4), name="image")
    x = _block(_block(image, 4, "block1"), 8, "block2", 2)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(5, name="head")(x), name="residual")


def classifier():
    return keras.Sequential(
        [
            keras.Input((None,), dtype="int32", name="tokens"),
            layers.Embedding(12, 8, mask_zero=True, name="embedding"),
            layers.Bidirectional(layers.LSTM(6, return_sequences=True), name="encoder"),
            layers.GRU(5, return_sequences=True, name="gru"),
            layers.LSTM(5, name="lstm"),
            layers.Dense(2, activation="sigmoid", name="head"),
        ],
        name="text classifier",
    )


def transformer(dropout=0.0):
    tokens = keras.Input((7,), dtype="int32", name="tokens")
    x = layers.Embedding(12, 8, name="embedding")(tokens)
    attention = layers.MultiHeadAttention(2, 4, dropout=dropout, name="attention")
    x = layers.LayerNormalization(name="norm1")(x + attention(x, x, use_causal_mask=True))
    y = layers.Dense(8, name="contract")(layers.Dense(16, activation="gelu", name="expand")(x))
    x = layers.LayerNormalization(name="norm2")(layers.Add()([x, layers.Dropout(dropout, name="dropout")(y)]))
    return keras.Model(tokens, layers.Dense(12, name="logits")(x), name="transformer")


def two_inputs():
    image, features = keras.Input((8, 8, 3), name="image"), keras.Input((5,), name="features")
    x = layers.Flatten()(layers.Conv2D(4, 3, activation="relu", name="conv")(image))
    y = layers.Dense(6, activation="relu", name="dense_of_features")(features)
    z = layers.Dense(8, activation="relu", name="mix")(layers.Concatenate()([x, y]))
    outputs = {
        "label": layers.Dense(3, name="label")(z),
        "score": layers.Dense(1, activation="sigmoid", name="score")(z),
    }
    return keras.Model({"image": image, "features": features}, outputs, name="two_inputs")


def siamese():
    """A nested model that is called twice, of which one layer is frozen."""
    inner = [
        keras.Input((6,)),
        layers.Dense(5, activation="tanh", name="first"),
        layers.Dense(4, name="second"),
    ]
    encoder = keras.Sequential(inner, name="encoder")
    encoder.layers[0].trainable = False
    left, right = keras.Input((6,), name="left"), keras.Input((6,), name="right")
    return keras.Model([left, right], layers.Subtract()([encoder(left), encoder(right)]), name="siamese")


def generator():
    return keras.Sequential(
        [
            keras.Input((5,), name="noise"),
            layers.Dense(4 * 3 * 6, name="project"),
            layers.BatchNormalization(name="bn"),
            layers.LeakyReLU(0.2),
            layers.Reshape((4, 3, 6)),
            layers.Conv2DTranspose(3, 3, strides=2, padding="same", activation="tanh", name="up"),
        ],
        name="generator",
    )


NETWORKS = {
    build.__name__: build
    for build in (perceptron, digits, residual, classifier, transformer, two_inputs, siamese, generator)
}


def graph_of(model):
    return getattr(model, "_functional", model)


def sample(model, batch=3, seed=1):
    """Return random inputs in the structure of the model's own; tokens have zeros, which are masked."""
    rng = np.random.default_rng(seed)

    def one(tensor):
        shape = (batch, *(size or 9 for size in tensor.shape[1:]))
        if "int" in tensor.dtype:
            return rng.integers(0, 12, shape).astype("int32")
        return rng.normal(size=shape).astype("float32")

    return keras.tree.map_structure(one, graph_of(model).input)


def flat(structure):
    return [np.asarray(keras.ops.convert_to_numpy(one)) for one in keras.tree.flatten(structure)]


def keras_gradients(model, inputs):
    """Return the gradients of a sum of squares in training mode, by the path of the variable."""
    import unikeras as uk

    with uk.GradientTape() as tape:
        outputs = keras.tree.flatten(model(inputs, training=True))
        value = sum(keras.ops.sum(keras.ops.square(one - 0.3)) for one in outputs)
    variables = model.trainable_variables
    return dict(zip([one.path for one in variables], flat(tape.gradient(value, variables)), strict=True))


def torch_gradients(model, module, inputs):
    """Return the gradients of the same sum of a torch module, by the path of the Keras variable.

    A gradient has the arrangement of its weight, so that the rules for weights bring it to Keras: the model's weights
    are lost.
    """
    import torch

    import unikeras as uk

    outputs = module.train()(*map(torch.tensor, keras.tree.flatten(inputs)))
    sum((one - 0.3).square().sum() for one in keras.tree.flatten(outputs)).backward()
    parameters = dict(module.named_parameters())
    state = {
        key: torch.zeros_like(value) if key in parameters else value
        for key, value in module.state_dict().items()
    }
    state.update({key: one.grad for key, one in parameters.items() if one.grad is not None})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # Keras' epsilon, of which a state_dict says nothing
        uk.interop.load_state_dict(model, state)
    return {one.path: flat([one])[0] for one in model.trainable_variables}


def gaps_of(name):
    """Return how far a module's outputs and gradients are from the model's, and the names of weights that changed."""
    import torch

    import unikeras as uk
    from helpers.agreement import randomize

    model = randomize(NETWORKS[name]())
    module = uk.interop.to_torch(model)
    inputs = sample(model, 4)
    outputs = keras.tree.flatten(module(*map(torch.tensor, keras.tree.flatten(inputs))))
    pairs = zip(outputs, flat(model(inputs, training=False)), strict=True)
    gap = max(float(np.abs(ours.detach().numpy() - theirs).max()) for ours, theirs in pairs)
    back = uk.interop.state_dict(model, like=module)
    changed = [key for key, value in module.state_dict().items() if not torch.equal(back[key], value)]
    wanted = keras_gradients(model, inputs)
    found = torch_gradients(model, module, inputs)
    scale = max(float(np.abs(one).max()) for one in wanted.values())
    apart = max(float(np.abs(found[path] - one).max()) for path, one in wanted.items()) / scale
    return gap, apart, changed
