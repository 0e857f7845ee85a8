"""Train steps of every kind that Keras has, each with its state: what a program must compute as Python does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

import unikeras as uk


class Step:
    """A function, the variables that it changes, and what it is called with.

    Attributes:
        run: the function.
        state: its variables.
        inputs: arrays.
    """

    def __init__(self, run: Callable[..., Any], state: Sequence[keras.Variable], *inputs: np.ndarray) -> None:
        self.run = run
        self.state = list({id(variable): variable for variable in state}.values())
        self.inputs = inputs


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def integers(high: int, *shape: int, seed: int = 0, dtype: str = "int32") -> np.ndarray:
    return np.random.default_rng(seed).integers(0, high, shape).astype(dtype)


def images(*shape: int) -> np.ndarray:
    return (np.random.default_rng(3).uniform(size=shape) * 255).astype("float32")


# Layers


class Layer:
    """How a layer is made and called.

    Args:
        make: returns it.
        inputs: arrays.
        call: calls it; without it, the layer takes the inputs, as a list where there are several.
    """

    def __init__(self, make: Callable[[], Any], *inputs: np.ndarray, call: Callable[..., Any] | None = None):
        self.make = make
        self.inputs = inputs
        self.call = call or _call

    def step(self) -> Step:
        """Return a train step: tape, SGD with momentum, a metric."""
        layer = self.make()
        scales = [keras.Variable(1.0 + 0.1 * i, name="scale") for i in range(len(self.inputs))]
        gain = keras.Variable(1.5, name="gain")

        def forward(*inputs: Any) -> tuple[Any, list[Any]]:
            scaled = [
                x * s if keras.backend.is_float_dtype(x.dtype) else x
                for x, s in zip(inputs, scales, strict=True)
            ]
            outputs = [ops.cast(y, "float32") for y in keras.tree.flatten(self.call(layer, *scaled))]
            loss = sum(ops.mean((y * gain) ** 2) / (1 + ops.mean(ops.stop_gradient(y) ** 2)) for y in outputs)
            return loss + sum(layer.losses), outputs

        forward(*map(ops.convert_to_tensor, self.inputs))
        weights = [*layer.trainable_variables, *scales, gain]
        optimizer = keras.optimizers.SGD(0.05, momentum=0.9)
        optimizer.build(weights)
        metric = keras.metrics.Mean()

        def run(*inputs: Any) -> Any:
            with uk.GradientTape() as tape:
                loss, outputs = forward(*inputs)
            gradients = tape.gradient(loss, weights)
            found = [(g, w) for g, w in zip(gradients, weights, strict=True) if g is not None]
            optimizer.apply_gradients(found)
            metric.update_state(loss)
            return loss, outputs, metric.result()

        return Step(run, [*layer.variables, *weights, *optimizer.variables, *metric.variables], *self.inputs)


def _call(layer: Any, *inputs: Any) -> Any:
    return layer(list(inputs) if len(inputs) > 1 else inputs[0], **_training(layer))


def _training(layer: Any) -> dict[str, bool]:
    return {"training": True} if layer._call_has_training_arg else {}


def _masked(layer: Any, x: Any, mask: Any) -> Any:
    return layer(x, mask=mask, training=True)


def _with_states(*sizes: int) -> Callable[..., Any]:
    def call(layer: Any, x: Any) -> Any:
        return layer(x, [ops.zeros((x.shape[0], size)) + 0.1 for size in sizes], training=True)

    return call


def _boxes(layer: Any, x: Any, boxes: Any, labels: Any) -> Any:
    found = layer({"images": x, "bounding_boxes": {"boxes": boxes, "labels": labels}}, training=True)
    return found["images"], found["bounding_boxes"]


def _mixed(layer: Any, x: Any, labels: Any) -> Any:
    found = layer({"images": x, "labels": labels}, training=True)
    return found["images"], found["labels"]


ROWS, SERIES, MASK = normal(3, 4), normal(2, 5, 4), np.array([[1, 1, 1, 0, 0], [1, 0, 1, 1, 1]], bool)
MAP, VOLUME = normal(2, 6, 6, 3), normal(2, 4, 4, 4, 2)
PICTURES = images(2, 8, 8, 3)
L2 = keras.regularizers.L2(0.01)

LAYERS: dict[str, Layer] = {
    "Activation": Layer(lambda: layers.Activation("gelu"), ROWS),
    "ActivityRegularization": Layer(lambda: layers.ActivityRegularization(0.1, 0.2), ROWS),
    "Add": Layer(layers.Add, ROWS, 2 * ROWS),
    "AdditiveAttention": Layer(
        lambda: layers.AdditiveAttention(dropout=0.2, seed=1), normal(2, 3, 4), normal(2, 5, 4)
    ),
    "AlphaDropout": Layer(lambda: layers.AlphaDropout(0.4, seed=1), ROWS),
    "Attention": Layer(
        lambda: layers.Attention(use_scale=True, dropout=0.2, seed=1), normal(2, 3, 4), normal(2, 5, 4)
    ),
    "Attention causal": Layer(
        layers.Attention,
        normal(2, 5, 4),
        MASK,
        call=lambda layer, x, m: layer([x, x], mask=[m, m], use_causal_mask=True, training=True),
    ),
    "AugMix": Layer(lambda: layers.AugMix(num_chains=2, chain_depth=2, seed=1), PICTURES),
    "AutoContrast": Layer(layers.AutoContrast, PICTURES),
    "Average": Layer(layers.Average, ROWS, 2 * ROWS),
    "BatchNormalization": Layer(lambda: layers.BatchNormalization(gamma_regularizer=L2), MAP),
    "BatchNormalization masked": Layer(layers.BatchNormalization, SERIES, MASK, call=_masked),
    "Bidirectional": Layer(
        lambda: layers.Bidirectional(layers.LSTM(3, return_sequences=True)), SERIES, MASK, call=_masked
    ),
    "CategoryEncoding": Layer(lambda: layers.CategoryEncoding(5, "count"), integers(5, 3, 4)),
    "CenterCrop": Layer(lambda: layers.CenterCrop(4, 5), PICTURES),
    "Concatenate": Layer(layers.Concatenate, ROWS, 2 * ROWS),
    "ContrastLimitedAdaptiveHistogramEqualization": Layer(
        lambda: layers.ContrastLimitedAdaptiveHistogramEqualization(tile_grid_size=(2, 2)), PICTURES
    ),
    "Conv1D": Layer(lambda: layers.Conv1D(3, 3, padding="causal", activation="relu"), SERIES),
    "Conv1DTranspose": Layer(lambda: layers.Conv1DTranspose(3, 3, 2, "same"), SERIES),
    "Conv2D": Layer(
        lambda: layers.Conv2D(4, 3, 2, "same", kernel_constraint=keras.constraints.MaxNorm(0.5)), MAP
    ),
    "Conv2D channels_first": Layer(
        lambda: layers.Conv2D(4, 3, padding="same", data_format="channels_first", kernel_regularizer=L2),
        normal(2, 3, 6, 6),
    ),
    "Conv2D dilated groups": Layer(
        lambda: layers.Conv2D(4, 2, dilation_rate=2, groups=2), normal(2, 6, 6, 4)
    ),
    "Conv2DTranspose": Layer(lambda: layers.Conv2DTranspose(3, 3, 2, "valid", output_padding=1), MAP),
    "Conv3D": Layer(lambda: layers.Conv3D(3, 2, padding="same"), VOLUME),
    "Conv3DTranspose": Layer(lambda: layers.Conv3DTranspose(2, 2, 2), VOLUME),
    "ConvLSTM1D": Layer(lambda: layers.ConvLSTM1D(2, 2, padding="same"), normal(2, 3, 5, 2)),
    "ConvLSTM2D": Layer(lambda: layers.ConvLSTM2D(2, 2, return_sequences=True), normal(2, 3, 4, 4, 1)),
    "ConvLSTM3D": Layer(lambda: layers.ConvLSTM3D(1, 2), normal(1, 2, 3, 3, 3, 1)),
    "Cropping1D": Layer(lambda: layers.Cropping1D(1), SERIES),
    "Cropping2D": Layer(lambda: layers.Cropping2D(((1, 0), (0, 2))), MAP),
    "Cropping3D": Layer(lambda: layers.Cropping3D(1), VOLUME),
    "CutMix": Layer(lambda: layers.CutMix(seed=1), PICTURES, normal(2, 3), call=_mixed),
    "Dense": Layer(
        lambda: layers.Dense(
            3,
            "softmax",
            kernel_regularizer="orthogonal_regularizer",
            bias_constraint="non_neg",
            activity_regularizer="l1",
        ),
        ROWS,
    ),
    "DepthwiseConv1D": Layer(lambda: layers.DepthwiseConv1D(2, depth_multiplier=2), SERIES),
    "DepthwiseConv2D": Layer(lambda: layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2), MAP),
    "Discretization": Layer(lambda: layers.Discretization([-1.0, 0.0, 1.0]), ROWS),
    "Dot": Layer(lambda: layers.Dot(1, normalize=True), ROWS, normal(3, 4, seed=1)),
    "Dropout": Layer(lambda: layers.Dropout(0.5, seed=1), ROWS),
    "ELU": Layer(layers.ELU, ROWS),
    "EinsumDense": Layer(lambda: layers.EinsumDense("abc,cd->abd", (None, 3), bias_axes="d"), SERIES),
    "Embedding": Layer(lambda: layers.Embedding(6, 3, embeddings_constraint="unit_norm"), integers(6, 2, 5)),
    "Equalization": Layer(layers.Equalization, PICTURES),
    "Flatten": Layer(layers.Flatten, MAP),
    "GRU": Layer(lambda: layers.GRU(3, return_sequences=True, return_state=True), SERIES, MASK, call=_masked),
    "GRU before": Layer(
        lambda: layers.GRU(3, reset_after=False, dropout=0.2, recurrent_dropout=0.2, seed=1), SERIES
    ),
    "GRUCell": Layer(lambda: layers.GRUCell(3), ROWS, call=_with_states(3)),
    "GaussianDropout": Layer(lambda: layers.GaussianDropout(0.4, seed=1), ROWS),
    "GaussianNoise": Layer(lambda: layers.GaussianNoise(0.4, seed=1), ROWS),
    "GlobalAveragePooling1D": Layer(
        layers.GlobalAveragePooling1D, SERIES, MASK, call=lambda layer, x, m: layer(x, mask=m)
    ),
    "GroupNormalization": Layer(lambda: layers.GroupNormalization(2), SERIES),
    "GroupQueryAttention": Layer(
        lambda: layers.GroupQueryAttention(2, 4, 2, dropout=0.1, seed=1),
        normal(2, 3, 4),
        call=lambda layer, x: layer(x, x, use_causal_mask=True, training=True),
    ),
    "HashedCrossing": Layer(
        lambda: layers.HashedCrossing(7),
        integers(5, 3, 1),
        integers(5, 3, 1, seed=1),
        call=lambda layer, a, b: layer((a, b)),
    ),
    "Hashing": Layer(lambda: layers.Hashing(5), integers(9, 3, 2)),
    "Identity": Layer(layers.Identity, ROWS),
    "IntegerLookup": Layer(
        lambda: layers.IntegerLookup(vocabulary=[1, 3, 5]), integers(6, 3, 2, dtype="int64")
    ),
    "LSTM": Layer(
        lambda: layers.LSTM(3, return_sequences=True, return_state=True), SERIES, MASK, call=_masked
    ),
    "LSTM stateful": Layer(lambda: layers.LSTM(3, stateful=True, go_backwards=True), SERIES),
    "LSTM dropout": Layer(
        lambda: layers.LSTM(3, dropout=0.2, recurrent_dropout=0.2, seed=1, unroll=True), SERIES
    ),
    "LSTMCell": Layer(lambda: layers.LSTMCell(3), ROWS, call=_with_states(3, 3)),
    "Lambda": Layer(lambda: layers.Lambda(lambda x: x * x), ROWS),
    "LayerNormalization": Layer(layers.LayerNormalization, SERIES),
    "LeakyReLU": Layer(layers.LeakyReLU, ROWS),
    "Masking": Layer(layers.Masking, SERIES * (normal(2, 5, 1) > 0)),
    "Maximum": Layer(layers.Maximum, ROWS, normal(3, 4, seed=1)),
    "MaxNumBoundingBoxes": Layer(
        lambda: layers.MaxNumBoundingBoxes(2, bounding_box_format="xyxy"),
        PICTURES,
        np.array([[[0, 0, 4, 4], [1, 1, 3, 5], [2, 2, 4, 4]]] * 2, "float32"),
        integers(3, 2, 3),
        call=_boxes,
    ),
    "MelSpectrogram": Layer(
        lambda: layers.MelSpectrogram(16, 8, 16, sampling_rate=100, num_mel_bins=4), normal(2, 40)
    ),
    "Minimum": Layer(layers.Minimum, ROWS, normal(3, 4, seed=1)),
    "MixUp": Layer(lambda: layers.MixUp(seed=1), PICTURES, normal(2, 3), call=_mixed),
    "MultiHeadAttention": Layer(
        lambda: layers.MultiHeadAttention(2, 3, dropout=0.1, seed=1),
        normal(2, 5, 4),
        MASK,
        call=lambda layer, x, m: layer(
            x, x, query_mask=m, use_causal_mask=True, return_attention_scores=True, training=True
        ),
    ),
    "MultiHeadAttention flash": Layer(
        lambda: layers.MultiHeadAttention(2, 3),
        normal(2, 5, 4),
        call=lambda layer, x: layer(x, x, training=True),
    ),
    "Multiply": Layer(layers.Multiply, ROWS, normal(3, 4, seed=1)),
    "Normalization": Layer(lambda: layers.Normalization(mean=0.5, variance=2.0), ROWS),
    "PReLU": Layer(lambda: layers.PReLU(shared_axes=[1, 2]), MAP),
    "Permute": Layer(lambda: layers.Permute((2, 1)), SERIES),
    "Pipeline": Layer(
        lambda: layers.Pipeline([layers.RandomFlip(seed=1), layers.RandomBrightness(0.2, seed=2)]), PICTURES
    ),
    "RMSNormalization": Layer(layers.RMSNormalization, SERIES),
    "RNN": Layer(
        lambda: layers.RNN([layers.LSTMCell(3), layers.GRUCell(2)], return_sequences=True),
        SERIES,
        MASK,
        call=_masked,
    ),
    "RandAugment": Layer(lambda: layers.RandAugment(num_ops=2, seed=1), PICTURES),
    "ReLU": Layer(lambda: layers.ReLU(6, 0.1, 0.2), ROWS),
    "RepeatVector": Layer(lambda: layers.RepeatVector(3), ROWS),
    "Rescaling": Layer(lambda: layers.Rescaling(0.1, 1.0), PICTURES),
    "Reshape": Layer(lambda: layers.Reshape((2, -1)), ROWS),
    "Resizing": Layer(lambda: layers.Resizing(5, 4, crop_to_aspect_ratio=True), PICTURES),
    "ReversibleEmbedding": Layer(
        lambda: layers.ReversibleEmbedding(6, 3),
        integers(6, 2, 5),
        call=lambda layer, i: layer(layer(i), reverse=True),
    ),
    "STFTSpectrogram": Layer(lambda: layers.STFTSpectrogram("log", 16, 8), normal(2, 40, 1)),
    "SeparableConv1D": Layer(lambda: layers.SeparableConv1D(3, 2), SERIES),
    "SeparableConv2D": Layer(lambda: layers.SeparableConv2D(3, 2, padding="same"), MAP),
    "SimpleRNN": Layer(lambda: layers.SimpleRNN(3, return_sequences=True), SERIES, MASK, call=_masked),
    "SimpleRNNCell": Layer(lambda: layers.SimpleRNNCell(3), ROWS, call=_with_states(3)),
    "Softmax": Layer(layers.Softmax, SERIES, MASK, call=lambda layer, x, m: layer(x, mask=m[..., None])),
    "Solarization": Layer(lambda: layers.Solarization(0.3, 0.6, seed=1), PICTURES),
    "SpatialDropout1D": Layer(lambda: layers.SpatialDropout1D(0.4, seed=1), SERIES),
    "SpatialDropout2D": Layer(lambda: layers.SpatialDropout2D(0.4, seed=1), MAP),
    "SpatialDropout3D": Layer(lambda: layers.SpatialDropout3D(0.4, seed=1), VOLUME),
    "SpectralNormalization": Layer(lambda: layers.SpectralNormalization(layers.Conv2D(3, 2)), MAP),
    "StackedRNNCells": Layer(
        lambda: layers.StackedRNNCells([layers.SimpleRNNCell(3), layers.GRUCell(2)]),
        ROWS,
        call=_with_states(3, 2),
    ),
    "Subtract": Layer(layers.Subtract, ROWS, normal(3, 4, seed=1)),
    "TimeDistributed": Layer(lambda: layers.TimeDistributed(layers.Dense(3)), SERIES, MASK, call=_masked),
    "TimeDistributed normalized": Layer(lambda: layers.TimeDistributed(layers.BatchNormalization()), SERIES),
    "UnitNormalization": Layer(layers.UnitNormalization, SERIES),
    "Wrapper": Layer(lambda: Wrapped(layers.Dense(3)), ROWS),
    "Layer": Layer(lambda: Noisy(), ROWS),
}
_POOLED = {"1D": SERIES, "2D": MAP, "3D": VOLUME}
for _axes, _x in _POOLED.items():
    for _kind in ("Average", "Max"):
        _name = f"{_kind}Pooling{_axes}"
        LAYERS[_name] = Layer(lambda n=_name: getattr(layers, n)(2, 2, "same"), _x)
        LAYERS[f"Global{_name}"] = Layer(lambda n=_name: getattr(layers, f"Global{n}")(keepdims=True), _x)
        LAYERS[f"Adaptive{_name}"] = Layer(lambda n=_name: getattr(layers, f"Adaptive{n}")(3), _x)
    for _name in ("UpSampling", "ZeroPadding"):
        LAYERS[_name + _axes] = Layer(lambda n=_name + _axes: getattr(layers, n)(2), _x)
LAYERS["UpSampling2D bilinear"] = Layer(lambda: layers.UpSampling2D(2, interpolation="bilinear"), MAP)
LAYERS["GlobalAveragePooling1D masked"] = Layer(
    layers.GlobalAveragePooling1D, SERIES, MASK, call=lambda layer, x, m: layer(x, mask=m)
)
_AUGMENTATIONS = {
    "RandomBrightness": (0.3,),
    "RandomColorDegeneration": (0.5,),
    "RandomColorJitter": ((0, 255), 0.3, 0.3, 0.3, 0.1),
    "RandomContrast": (0.3,),
    "RandomCrop": (5, 4),
    "RandomElasticTransform": (),
    "RandomErasing": (),
    "RandomFlip": (),
    "RandomGaussianBlur": (),
    "RandomGrayscale": (),
    "RandomHue": (0.3,),
    "RandomInvert": (0.5,),
    "RandomPerspective": (),
    "RandomPosterization": (4,),
    "RandomRotation": (0.2,),
    "RandomSaturation": (0.4,),
    "RandomSharpness": (0.4,),
    "RandomShear": (0.2, 0.2),
    "RandomTranslation": (0.2, 0.2),
    "RandomZoom": (0.2,),
}
for _name, _arguments in _AUGMENTATIONS.items():
    LAYERS[_name] = Layer(lambda n=_name, a=_arguments: getattr(layers, n)(*a, seed=1), PICTURES)

# What no step of tensors calls, and why.
NOT_IN_STEPS = {
    "FlaxLayer": "runs on JAX alone, with flax, which the tests do not install",
    "InputLayer": "names an input and computes nothing",
    "JaxLayer": "runs on JAX and TensorFlow alone",
    "StringLookup": "takes strings",
    "TFSMLayer": "runs on TensorFlow alone, from a folder",
    "TextVectorization": "takes strings",
    "TorchModuleWrapper": "runs on PyTorch alone, and has tests of its own there",
}


class Wrapped(layers.Wrapper):
    def call(self, x):
        return self.layer(x)


class Noisy(layers.Layer):
    """Counts, draws, adds a loss, and multiplies by a weight: what users write."""

    def build(self, shape):
        self.weight = self.add_weight(shape=(shape[-1],), initializer="ones", constraint="unit_norm")
        self.count = self.add_weight(shape=(), dtype="int32", initializer="zeros", trainable=False)
        self.seed = keras.random.SeedGenerator(3)

    def call(self, x):
        self.count.assign_add(1)
        noise = keras.random.normal(ops.shape(x), seed=self.seed) * ops.cast(self.count, x.dtype)
        self.add_loss(0.1 * ops.sum(self.weight**2))
        return (x + 0.01 * noise) * self.weight


# Optimizers


def _optimized(make: Callable[[], Any], policy: str = "float32", **options: Any) -> Callable[[], Step]:
    """Return what makes a train step of a small network, which an optimizer of some kind changes."""

    def step() -> Step:
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(policy)
        try:
            model = keras.Sequential(
                [keras.Input((4,)), layers.Dense(5, "tanh"), layers.BatchNormalization(), layers.Dense(3)]
            )
        finally:
            keras.config.set_dtype_policy(before)
        optimizer = make()
        if policy == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(
                optimizer, initial_scale=8.0, dynamic_growth_steps=2
            )
        optimizer.build(model.trainable_variables)
        loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        accuracy = keras.metrics.SparseCategoricalAccuracy()

        def run(x: Any, y: Any) -> Any:
            with uk.GradientTape() as tape:
                logits = model(x, training=True)
                loss = loss_of(y, logits)
                scaled = optimizer.scale_loss(loss)
            optimizer.apply(tape.gradient(scaled, model.trainable_variables), model.trainable_variables)
            accuracy.update_state(y, logits)
            return loss, logits, accuracy.result()

        return Step(
            run, [*model.variables, *optimizer.variables, *accuracy.variables], normal(6, 4), integers(3, 6)
        )

    return step


_S = keras.optimizers.schedules
_O = keras.optimizers
OPTIMIZERS: dict[str, Callable[[], Step]] = {
    "Adadelta": _optimized(lambda: _O.Adadelta(0.1)),
    "Adafactor": _optimized(lambda: _O.Adafactor(0.1, clipvalue=0.5)),
    "Adagrad": _optimized(lambda: _O.Adagrad(0.1)),
    "Adam": _optimized(lambda: _O.Adam(0.1, amsgrad=True, clipnorm=0.1)),
    "AdamW": _optimized(
        lambda: _O.AdamW(
            _S.CosineDecay(0.1, 2, warmup_target=0.2, warmup_steps=1), use_ema=True, ema_overwrite_frequency=2
        )
    ),
    "Adamax": _optimized(lambda: _O.Adamax(0.1, weight_decay=0.01)),
    "Ftrl": _optimized(lambda: _O.Ftrl(0.1, l1_regularization_strength=0.01)),
    "Lamb": _optimized(lambda: _O.Lamb(0.1)),
    "Lion": _optimized(lambda: _O.Lion(0.1)),
    "LossScaleOptimizer": _optimized(lambda: _O.Adam(0.1), "mixed_float16"),
    "LossScaleOptimizer accumulating": _optimized(
        lambda: _O.SGD(0.1, gradient_accumulation_steps=2), "mixed_float16"
    ),
    "MultiOptimizer": _optimized(lambda: _multi(_O.Adam(0.1), _O.SGD(0.2, 0.9))),
    "Muon": _optimized(lambda: _O.Muon(0.1)),
    "Nadam": _optimized(lambda: _O.Nadam(0.1)),
    "RMSprop": _optimized(lambda: _O.RMSprop(0.1, momentum=0.5, centered=True)),
    "SGD": _optimized(lambda: _O.SGD(0.1)),
    "SGD nesterov": _optimized(
        lambda: _O.SGD(_S.PiecewiseConstantDecay([1, 2], [0.1, 0.2, 0.3]), 0.9, nesterov=True)
    ),
    "ScheduleFreeAdamW": _optimized(lambda: _O.ScheduleFreeAdamW(0.1)),
    "mixed_bfloat16": _optimized(lambda: _O.Adam(0.1), "mixed_bfloat16"),
    "float64": _optimized(lambda: _O.Adam(0.1), "float64"),
    "bfloat16": _optimized(lambda: _O.Adam(0.1), "bfloat16"),
    "global_clipnorm": _optimized(lambda: _O.Adam(0.1, global_clipnorm=0.1)),
    "gradient_accumulation_steps": _optimized(lambda: _O.Adam(0.1, gradient_accumulation_steps=2)),
    "loss_scale_factor": _optimized(lambda: _O.SGD(0.1, loss_scale_factor=4.0)),
    "CosineDecayRestarts": _optimized(lambda: _O.SGD(_S.CosineDecayRestarts(0.1, 2))),
    "ExponentialDecay": _optimized(lambda: _O.SGD(_S.ExponentialDecay(0.1, 2, 0.5, staircase=True))),
    "InverseTimeDecay": _optimized(lambda: _O.SGD(_S.InverseTimeDecay(0.1, 2, 0.5))),
    "PolynomialDecay": _optimized(lambda: _O.SGD(_S.PolynomialDecay(0.1, 4, cycle=True))),
    "callable rate": _optimized(lambda: _O.SGD(lambda: 0.1)),
}
OPTIMIZERS_NOT_IN_STEPS = {"Optimizer": "the base of the others"}


def _multi(first: Any, second: Any) -> Any:
    return _O.MultiOptimizer(lambda variable: first if "kernel" in variable.path else second)


# Metrics


def _measured(make: Callable[[], Any], *inputs: np.ndarray) -> Callable[[], Step]:
    def step() -> Step:
        metric = make()

        def run(*values: Any) -> Any:
            metric.update_state(*values)
            return metric.result()

        run(*map(ops.convert_to_tensor, inputs))
        return Step(run, metric.variables, *inputs)

    return step


_M = keras.metrics
_BINARY = integers(2, 6, 1), normal(6, 1) * 0.1 + 0.5
_ONE_HOT = np.eye(3, dtype="float32")[integers(3, 6)], abs(normal(6, 3)) / 5
_SPARSE = integers(3, 6), abs(normal(6, 3)) / 5
_REAL = normal(6, 3), normal(6, 3, seed=1)
_POSITIVE = abs(normal(6, 3)) / 5, abs(normal(6, 3, seed=1)) / 5
_SIGNS = np.sign(normal(6, 3)), normal(6, 3, seed=1)
_WEIGHTS = abs(normal(6))
METRICS: dict[str, Callable[[], Step]] = {
    "AUC": _measured(lambda: _M.AUC(num_thresholds=20), *_BINARY, _WEIGHTS),
    "AUC multi_label": _measured(lambda: _M.AUC(10, "PR", multi_label=True, num_labels=3), *_ONE_HOT),
    "Accuracy": _measured(_M.Accuracy, integers(3, 6), integers(3, 6, seed=1), _WEIGHTS),
    "BinaryIoU": _measured(_M.BinaryIoU, *_BINARY),
    "ConcordanceCorrelation": _measured(_M.ConcordanceCorrelation, *_REAL),
    "F1Score": _measured(lambda: _M.F1Score("macro"), *_ONE_HOT),
    "FBetaScore": _measured(lambda: _M.FBetaScore("weighted", 2.0, 0.1), *_ONE_HOT),
    "IoU": _measured(lambda: _M.IoU(3, [0, 2]), integers(3, 6), integers(3, 6, seed=1)),
    "Mean": _measured(_M.Mean, normal(6), _WEIGHTS),
    "MeanIoU": _measured(lambda: _M.MeanIoU(3), integers(3, 6), integers(3, 6, seed=1)),
    "MeanMetricWrapper": _measured(lambda: _M.MeanMetricWrapper(keras.losses.huber), *_REAL),
    "OneHotIoU": _measured(lambda: _M.OneHotIoU(3, [0, 2]), *_ONE_HOT),
    "OneHotMeanIoU": _measured(lambda: _M.OneHotMeanIoU(3), *_ONE_HOT),
    "PearsonCorrelation": _measured(_M.PearsonCorrelation, *_REAL),
    "Precision top_k": _measured(lambda: _M.Precision(top_k=2, class_id=1), *_ONE_HOT),
    "R2Score": _measured(_M.R2Score, *_REAL),
    "RootMeanSquaredError": _measured(_M.RootMeanSquaredError, *_REAL, _WEIGHTS),
    "SparseCategoricalAccuracy": _measured(_M.SparseCategoricalAccuracy, *_SPARSE, _WEIGHTS),
    "SparseCategoricalCrossentropy": _measured(_M.SparseCategoricalCrossentropy, *_SPARSE),
    "SparseTopKCategoricalAccuracy": _measured(lambda: _M.SparseTopKCategoricalAccuracy(2), *_SPARSE),
    "Sum": _measured(_M.Sum, normal(6), _WEIGHTS),
    "TopKCategoricalAccuracy": _measured(lambda: _M.TopKCategoricalAccuracy(2), *_ONE_HOT),
}
for _name in (
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "FalseNegatives",
    "FalsePositives",
    "Precision",
    "Recall",
    "TrueNegatives",
    "TruePositives",
):
    METRICS[_name] = _measured(getattr(_M, _name), *_BINARY, _WEIGHTS)
for _name in (
    "PrecisionAtRecall",
    "RecallAtPrecision",
    "SensitivityAtSpecificity",
    "SpecificityAtSensitivity",
):
    METRICS[_name] = _measured(lambda n=_name: getattr(_M, n)(0.5, num_thresholds=20), *_BINARY, _WEIGHTS)
for _name in ("CategoricalAccuracy", "CategoricalCrossentropy", "CategoricalHinge", "KLDivergence"):
    METRICS[_name] = _measured(getattr(_M, _name), *_ONE_HOT, _WEIGHTS)
for _name in (
    "CosineSimilarity",
    "LogCoshError",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
):
    METRICS[_name] = _measured(getattr(_M, _name), *_REAL, _WEIGHTS)
for _name in ("MeanSquaredLogarithmicError", "Poisson"):
    METRICS[_name] = _measured(getattr(_M, _name), *_POSITIVE, _WEIGHTS)
for _name in ("Hinge", "SquaredHinge"):
    METRICS[_name] = _measured(getattr(_M, _name), *_SIGNS, _WEIGHTS)
METRICS_NOT_IN_STEPS = {"Metric": "the base of the others"}


# Losses


def _lost(
    make: Callable[[], Any], truth: np.ndarray, prediction: np.ndarray, *weights: np.ndarray
) -> Callable[[], Step]:
    def step() -> Step:
        loss_of = make()
        scale = keras.Variable(1.0, name="scale")

        def run(y: Any, p: Any, *sample_weight: Any) -> Any:
            loss, gradient = uk.value_and_grad(lambda s: loss_of(y, p * s, *sample_weight))(scale.value)
            scale.assign_sub(0.01 * gradient)
            return loss, gradient

        return Step(run, [scale], truth, prediction, *weights)

    return step


_L = keras.losses
LOSSES: dict[str, Callable[[], Step]] = {
    "BinaryCrossentropy": _lost(lambda: _L.BinaryCrossentropy(label_smoothing=0.1), *_BINARY, _WEIGHTS),
    "BinaryFocalCrossentropy": _lost(lambda: _L.BinaryFocalCrossentropy(True), *_BINARY),
    "CTC": _lost(_L.CTC, integers(3, 2, 2) + 1, normal(2, 6, 5)),
    "CategoricalCrossentropy": _lost(_L.CategoricalCrossentropy, *_ONE_HOT, _WEIGHTS),
    "CategoricalFocalCrossentropy": _lost(_L.CategoricalFocalCrossentropy, *_ONE_HOT),
    "CategoricalGeneralizedCrossEntropy": _lost(_L.CategoricalGeneralizedCrossEntropy, *_SPARSE),
    "CategoricalHinge": _lost(_L.CategoricalHinge, *_ONE_HOT),
    "Circle": _lost(_L.Circle, integers(3, 6), normal(6, 3)),
    "CosineSimilarity": _lost(_L.CosineSimilarity, *_REAL),
    "Dice": _lost(_L.Dice, *_ONE_HOT),
    "Hinge": _lost(_L.Hinge, *_SIGNS),
    "Huber": _lost(lambda: _L.Huber(0.5), *_REAL, _WEIGHTS),
    "KLDivergence": _lost(_L.KLDivergence, *_ONE_HOT),
    "LogCosh": _lost(_L.LogCosh, *_REAL),
    "MeanAbsoluteError": _lost(_L.MeanAbsoluteError, *_REAL),
    "MeanAbsolutePercentageError": _lost(_L.MeanAbsolutePercentageError, *_REAL),
    "MeanSquaredError": _lost(lambda: _L.MeanSquaredError("sum"), *_REAL),
    "MeanSquaredLogarithmicError": _lost(_L.MeanSquaredLogarithmicError, *_POSITIVE),
    "Poisson": _lost(_L.Poisson, *_POSITIVE),
    "SparseCategoricalCrossentropy": _lost(
        lambda: _L.SparseCategoricalCrossentropy(ignore_class=0), *_SPARSE
    ),
    "SquaredHinge": _lost(_L.SquaredHinge, *_SIGNS),
    "Tversky": _lost(_L.Tversky, *_ONE_HOT),
}
LOSSES_NOT_IN_STEPS = {"Loss": "the base of the others"}


# Transforms


def _transformed(make: Callable[[Any, Any], Callable[..., Any]]) -> Callable[[], Step]:
    """Return what makes a step that takes derivatives of a small network by its input."""

    def step() -> Step:
        model = keras.Sequential([keras.Input((4,)), layers.Dense(4, "tanh"), layers.LayerNormalization()])
        count = keras.Variable(0.0, name="count")
        run = make(model, count)
        return Step(run, [*model.variables, count], normal(2, 4))

    return step


@uk.custom_gradient
def _clipped(x: Any) -> Any:
    return ops.exp(x), lambda upstream: ops.clip(upstream * ops.exp(x), -1.0, 1.0)


def _counting(f: Callable[..., Any], count: Any) -> Callable[..., Any]:
    def run(x: Any) -> Any:
        count.assign_add(1.0)
        return f(x)

    return run


def _persistent(model: Any, x: Any) -> Any:
    with uk.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = model(x)
        with tape.stop_recording():
            z = model(x) * 2
        total = ops.sum(y * z)
    return tape.gradient(y, x), tape.gradient(total, x), tape.gradient(total, model.trainable_variables)


def _twice(model: Any, x: Any) -> Any:
    with uk.GradientTape() as outer:
        outer.watch(x)
        with uk.GradientTape() as inner:
            inner.watch(x)
            y = ops.sum(model(x) ** 3)
        slope = inner.gradient(y, x)
    return outer.gradient(slope, x)


def _checkpointed(model: Any, x: Any) -> Any:
    with uk.GradientTape() as tape:
        y = ops.mean(uk.remat(model)(x) ** 2)
    return y, tape.gradient(y, model.trainable_variables)


def _batched(model: Any, x: Any) -> Any:
    with uk.GradientTape() as tape:
        tape.watch(x)
        y = model(x)
    return tape.batch_jacobian(y, x)


TRANSFORMS: dict[str, Callable[[], Step]] = {
    "grad": _transformed(lambda m, c: lambda x: uk.grad(lambda x: ops.sum(m(x) ** 2))(x)),
    "jacobian": _transformed(lambda m, c: lambda x: uk.jacobian(m)(x)),
    "hessian": _transformed(lambda m, c: lambda x: uk.hessian(lambda x: ops.sum(m(x) ** 2))(x)),
    "hvp": _transformed(lambda m, c: lambda x: uk.hvp(lambda x: ops.sum(m(x) ** 2), x, x)),
    "jvp": _transformed(lambda m, c: lambda x: uk.jvp(m, (x,), (x,))),
    "vjp": _transformed(lambda m, c: lambda x: uk.vjp(m, x)[1](m(x))),
    "vmap": _transformed(lambda m, c: lambda x: uk.vmap(lambda row: m(row[None])[0])(x)),
    "grad in vmap": _transformed(
        lambda m, c: lambda x: uk.vmap(uk.grad(lambda row: ops.sum(m(row[None]) ** 2)))(x)
    ),
    "remat": _transformed(lambda m, c: lambda x: _checkpointed(m, x)),
    "custom_gradient": _transformed(
        lambda m, c: lambda x: uk.value_and_grad(lambda x: ops.sum(_clipped(m(x))))(x)
    ),
    "persistent tape": _transformed(lambda m, c: lambda x: _persistent(m, x)),
    "second derivative": _transformed(lambda m, c: lambda x: _twice(m, x)),
    "batch_jacobian": _transformed(lambda m, c: lambda x: _batched(m, x)),
    "assignment in grad": _transformed(
        lambda m, c: lambda x: uk.grad(_counting(lambda x: ops.sum(m(x) * c), c))(x)
    ),
    "no_grad": _transformed(lambda m, c: _without(m)),
    "stop_gradient": _transformed(
        lambda m, c: lambda x: uk.grad(lambda x: ops.sum(uk.stop_gradient(x) * m(x)))(x)
    ),
}


def _without(model: Any) -> Callable[..., Any]:
    def run(x: Any) -> Any:
        with uk.GradientTape() as tape:
            tape.watch(x)
            with uk.no_grad():
                y = model(x)
            z = ops.sum(x * y)
        return tape.gradient(z, x)

    return run
