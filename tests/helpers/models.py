"""Models with train steps of their own, each written once: the same file runs on every backend.

A model function returns a compiled model and the arrays to train it on. Weights and data are drawn with numpy, and so
is what would be random in training, so that all backends compute the same.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

import unikeras as uk

STEPS, BATCH = 20, 8
Data = tuple[np.ndarray, ...]


def rows(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(STEPS * BATCH, *shape)).astype("float32")


def start(model: keras.Model, seed: int) -> keras.Model:
    """Give a model weights that do not depend on the backend's random numbers; statistics and seeds stay."""
    rng = np.random.default_rng(seed)
    for weight in model.trainable_weights:
        scale = 1 / np.sqrt(np.prod(weight.shape[:-1]) or 1.0) if len(weight.shape) > 1 else 0.1
        offset = 1.0 if "gamma" in weight.path else 0.0
        weight.assign(offset + scale * rng.normal(size=weight.shape))
    return model


class Noise(layers.Layer):
    """Adds the next numbers of a sequence that is the same on every backend: a seed is a variable, as in Keras."""

    def build(self, input_shape):
        self.drawn = self.add_weight(
            shape=(), dtype="int32", initializer="zeros", trainable=False, name="drawn"
        )

    def call(self, mean, deviation):
        size = int(np.prod(mean.shape[1:])) * BATCH
        n = (ops.arange(size, dtype="int32") * 37 + self.drawn * 101) % 6075
        for _ in range(3):
            n = (n * 106 + 1283) % 6075
        self.drawn.assign_add(1)
        unit = ops.cast(n, "float32") / 6075.0 * 3.4 - 1.7  # of variance 1
        return mean + deviation * ops.reshape(unit, (BATCH, *mean.shape[1:]))


def classifier() -> tuple[uk.Model, Data]:
    """No step of its own: dropout is off, BatchNorm, regularizer, metrics, a learning-rate schedule, AdamW."""
    inputs = keras.Input((6,))
    hidden = layers.Dense(16, "tanh", kernel_regularizer=keras.regularizers.L2(1e-3))(inputs)
    model = uk.Model(inputs, layers.Dense(3)(layers.BatchNormalization()(hidden)))
    schedule = keras.optimizers.schedules.ExponentialDecay(0.02, 10, 0.9)
    model.compile(
        keras.optimizers.AdamW(schedule, weight_decay=0.01, global_clipnorm=1.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        weighted_metrics=["accuracy"],
    )
    x = rows(6)
    y = np.argmax(x[:, :3], axis=-1)
    return start(model, 1), (x, y, np.abs(rows(seed=2)))


class DCGAN(uk.Model):
    """Two networks, two optimizers, BatchNorm in both."""

    def __init__(self):
        super().__init__()
        self.generator = start(
            keras.Sequential(
                [
                    keras.Input((4,)),
                    layers.Dense(2 * 2 * 8, use_bias=False),
                    layers.BatchNormalization(),
                    layers.Activation("gelu"),
                    layers.Reshape((2, 2, 8)),
                    layers.Conv2DTranspose(4, 3, 2, "same", use_bias=False),
                    layers.BatchNormalization(),
                    layers.Activation("gelu"),
                    layers.Conv2DTranspose(1, 3, 2, "same", activation="tanh"),
                ]
            ),
            1,
        )
        self.discriminator = start(
            keras.Sequential(
                [
                    keras.Input((8, 8, 1)),
                    layers.Conv2D(4, 3, 2, "same", activation="gelu"),
                    layers.Conv2D(8, 3, 2, "same"),
                    layers.BatchNormalization(),
                    layers.Activation("gelu"),
                    layers.Flatten(),
                    layers.Dense(1),
                ]
            ),
            2,
        )
        self.cross_entropy = keras.losses.BinaryCrossentropy(from_logits=True)
        self.d_mean = keras.metrics.Mean("d_loss")
        self.g_mean = keras.metrics.Mean("g_loss")

    def compile(self, d_optimizer, g_optimizer):
        super().compile()
        self.d_optimizer, self.g_optimizer = d_optimizer, g_optimizer

    @property
    def metrics(self):
        return [self.d_mean, self.g_mean]

    def train_step(self, data):
        images, latent = data
        with uk.GradientTape() as tape:
            real = self.discriminator(images, training=True)
            fake = self.discriminator(self.generator(latent, training=True), training=True)
            d_loss = self.cross_entropy(ops.ones_like(real), real) + self.cross_entropy(
                ops.zeros_like(fake), fake
            )
        weights = self.discriminator.trainable_variables
        self.d_optimizer.apply(tape.gradient(d_loss, weights), weights)
        with uk.GradientTape() as tape:
            fake = self.discriminator(self.generator(latent, training=True), training=True)
            g_loss = self.cross_entropy(ops.ones_like(fake), fake)
        weights = self.generator.trainable_variables
        self.g_optimizer.apply(tape.gradient(g_loss, weights), weights)
        self.d_mean.update_state(d_loss)
        self.g_mean.update_state(g_loss)
        return {"d_loss": self.d_mean.result(), "g_loss": self.g_mean.result()}


def dcgan() -> tuple[uk.Model, Data]:
    model = DCGAN()
    model.compile(keras.optimizers.Adam(2e-3, epsilon=1e-4), keras.optimizers.Adam(1e-3, epsilon=1e-4))
    return model, (np.tanh(rows(8, 8, 1)), rows(4, seed=3))


class VAE(uk.Model):
    """A loss added by a layer in its call, and noise from a state that moves on."""

    def __init__(self):
        super().__init__()
        self.encoder = layers.Dense(8, "tanh")
        self.mean, self.log_variance = layers.Dense(2), layers.Dense(2)
        self.noise = Noise()
        self.decoder = layers.Dense(6)

    def call(self, x):
        hidden = self.encoder(x)
        mean, log_variance = self.mean(hidden), self.log_variance(hidden)
        divergence = -0.5 * ops.mean(1 + log_variance - mean**2 - ops.exp(log_variance))
        self.add_loss(0.1 * divergence)
        return self.decoder(self.noise(mean, ops.exp(0.5 * log_variance)))


def vae() -> tuple[uk.Model, Data]:
    model = VAE()
    model.compile(keras.optimizers.Adam(0.01, epsilon=1e-4), "mse")
    x = rows(6)
    model(x[:BATCH])
    return start(model, 1), (x, x)


class WGANGP(uk.Model):
    """A gradient in the loss: a tape in a tape."""

    def __init__(self):
        super().__init__()
        self.critic = start(
            keras.Sequential([keras.Input((3,)), layers.Dense(16, "tanh"), layers.Dense(1)]), 1
        )
        self.generator = start(
            keras.Sequential([keras.Input((2,)), layers.Dense(16, "tanh"), layers.Dense(3)]), 2
        )

    def compile(self, c_optimizer, g_optimizer):
        super().compile(optimizer=None)
        self.c_optimizer, self.g_optimizer = c_optimizer, g_optimizer

    def penalty(self, real, fake, mix):
        between = mix * real + (1 - mix) * fake
        with uk.GradientTape() as tape:
            tape.watch(between)
            value = ops.sum(self.critic(between, training=True))
        norm = ops.sqrt(ops.sum(tape.gradient(value, between) ** 2, axis=-1) + 1e-8)
        return ops.mean((norm - 1) ** 2)

    def train_step(self, data):
        real, (latent, mix) = data
        with uk.GradientTape() as tape:
            fake = self.generator(latent, training=True)
            c_loss = ops.mean(self.critic(fake)) - ops.mean(self.critic(real))
            c_loss += 10.0 * self.penalty(real, ops.stop_gradient(fake), mix)
        weights = self.critic.trainable_variables
        self.c_optimizer.apply(tape.gradient(c_loss, weights), weights)
        with uk.GradientTape() as tape:
            g_loss = -ops.mean(self.critic(self.generator(latent, training=True)))
        weights = self.generator.trainable_variables
        self.g_optimizer.apply(tape.gradient(g_loss, weights), weights)
        return {"c_loss": c_loss, "generator": {"g_loss": g_loss}}


def wgan_gp() -> tuple[uk.Model, Data]:
    model = WGANGP()
    optimizers = [keras.optimizers.Adam(1e-2, beta_1=0.5, epsilon=1e-4) for _ in range(2)]
    model.compile(*optimizers)
    mix = np.random.default_rng(4).uniform(size=(STEPS * BATCH, 1)).astype("float32")
    return model, (rows(3) + 1.0, (rows(2, seed=3), mix))


class Distiller(uk.Model):
    """A student learns from labels and from a frozen teacher; compute_loss is its own."""

    def __init__(self, student, teacher):
        super().__init__()
        self.student, self.teacher = student, teacher
        self.teacher.trainable = False
        self.distance = keras.losses.KLDivergence()

    def call(self, x, training=False):
        return self.student(x, training=training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        own = super().compute_loss(x, y, y_pred, sample_weight)
        soft = ops.softmax(self.teacher(x, training=False) / 3.0)
        return 0.3 * own + 0.7 * self.distance(soft, ops.softmax(y_pred / 3.0))


def distillation() -> tuple[uk.Model, Data]:
    student = start(keras.Sequential([keras.Input((6,)), layers.Dense(8, "tanh"), layers.Dense(3)]), 1)
    teacher = start(keras.Sequential([keras.Input((6,)), layers.Dense(32, "tanh"), layers.Dense(3)]), 2)
    model = Distiller(student, teacher)
    model.compile(
        keras.optimizers.SGD(0.2, momentum=0.9, clipvalue=0.5),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    x = rows(6)
    return model, (x, np.argmax(x[:, :3], axis=-1))


class SimCLR(uk.Model):
    """Two views of each row must be closer to each other than to all others."""

    def __init__(self):
        super().__init__()
        self.encoder = start(
            keras.Sequential([keras.Input((6,)), layers.Dense(16, "gelu"), layers.LayerNormalization()]), 1
        )
        self.projection = start(keras.Sequential([keras.Input((16,)), layers.Dense(4)]), 2)
        self.agreement = keras.metrics.SparseCategoricalAccuracy("agreement")

    def call(self, x):
        return self.encoder(x)

    def train_step(self, data):
        one, two = data
        with uk.GradientTape() as tape:
            views = [ops.normalize(self.projection(self.encoder(view))) for view in (one, two)]
            similarity = ops.matmul(views[0], ops.transpose(views[1])) / 0.2
            labels = ops.arange(BATCH)
            loss = ops.mean(
                ops.sparse_categorical_crossentropy(labels, similarity, from_logits=True)
                + ops.sparse_categorical_crossentropy(labels, ops.transpose(similarity), from_logits=True)
            )
        self.optimizer.apply(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
        self.agreement.update_state(labels, similarity)
        return {"contrast": loss, "agreement": self.agreement.result()}


def simclr() -> tuple[uk.Model, Data]:
    model = SimCLR()
    model.compile(keras.optimizers.Adam(0.01, epsilon=1e-4, use_ema=True, ema_momentum=0.9))
    x = rows(6)
    return model, (x + 0.1 * rows(6, seed=1), x + 0.1 * rows(6, seed=2))


class BYOL(uk.Model):
    """An online network predicts what its own moving average says, through a stopped gradient."""

    def __init__(self):
        super().__init__()
        self.online = start(self.network(), 1)
        self.target = start(self.network(), 1)
        self.predictor = start(keras.Sequential([keras.Input((4,)), layers.Dense(4)]), 2)
        self.target.trainable = False

    @staticmethod
    def network():
        return keras.Sequential(
            [
                keras.Input((6,)),
                layers.Dense(16),
                layers.BatchNormalization(),
                layers.Activation("tanh"),
                layers.Dense(4),
            ]
        )

    def train_step(self, data):
        one, two = data
        with uk.GradientTape() as tape:
            guess = ops.normalize(self.predictor(self.online(one, training=True)))
            aim = ops.normalize(uk.stop_gradient(self.target(two, training=True)))
            loss = 2 - 2 * ops.mean(ops.sum(guess * aim, axis=-1))
        weights = self.online.trainable_variables + self.predictor.trainable_variables
        self.optimizer.apply(tape.gradient(loss, weights), weights)
        for slow, fast in zip(self.target.weights, self.online.weights, strict=True):
            slow.assign(0.95 * slow + 0.05 * fast)
        return {"byol": loss}


def byol() -> tuple[uk.Model, Data]:
    model = BYOL()
    model.compile(keras.optimizers.SGD(0.3, momentum=0.9))
    x = rows(6)
    return model, (x + 0.1 * rows(6, seed=1), x + 0.1 * rows(6, seed=2))


def transformer() -> tuple[uk.Model, Data]:
    """Attention, layer norm and tokens, computed in bfloat16 with float32 weights."""
    policy = keras.DTypePolicy("mixed_bfloat16")
    tokens = keras.Input((10,), dtype="int32")
    x = layers.Embedding(20, 16, dtype=policy)(tokens)
    attended = layers.MultiHeadAttention(2, 8, dtype=policy)(x, x, use_causal_mask=True)
    x = layers.LayerNormalization(dtype=policy)(x + attended)
    x = layers.LayerNormalization(dtype=policy)(x + layers.Dense(16, "gelu", dtype=policy)(x))
    model = uk.Model(tokens, layers.Dense(20, dtype="float32")(x))
    model.compile(
        keras.optimizers.Adam(3e-3, epsilon=1e-4),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    sequence = np.random.default_rng(0).integers(0, 20, (STEPS * BATCH, 11))
    return start(model, 1), (sequence[:, :-1], sequence[:, 1:])


MODELS = [classifier, dcgan, vae, wgan_gp, distillation, simclr, byol, transformer]


def trained(make: Any, own_loop: bool) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Train a model for 20 steps; return what each step logged, and all of the state afterwards."""
    keras.utils.set_random_seed(0)
    model, data = make()
    logged: list[dict[str, float]] = []
    if own_loop:
        _loop(model, data, logged)
    else:
        seen = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: logged.append(dict(logs))
        )
        arguments = dict(zip(("x", "y", "sample_weight"), data, strict=False))
        model.fit(**arguments, batch_size=BATCH, shuffle=False, verbose=0, callbacks=[seen])
    curves = {name: np.array([logs[name] for logs in logged]) for name in logged[0]}
    optimizers = {id(o): o for o in vars(model).values() if isinstance(o, keras.Optimizer) and o.built}
    state = [*model.variables, *(v for optimizer in optimizers.values() for v in optimizer.variables)]
    state += [variable for metric in model.metrics for variable in metric.variables]
    values = {
        f"{i} {v.path}": np.array(ops.convert_to_numpy(v.value), "float32")
        for i, v in enumerate(_unique(state))
    }
    return curves, values


def _loop(model: uk.Model, data: Data, logged: list[dict[str, float]]) -> None:
    step = uk.function(model.train_step)
    for i in range(STEPS):
        batch = keras.tree.map_structure(lambda array: array[i * BATCH : (i + 1) * BATCH], data)  # noqa: B023
        logs = step(batch)
        flat = {
            k: v
            for name, log in logs.items()
            for k, v in (log if isinstance(log, dict) else {name: log}).items()
        }
        logged.append({name: float(ops.convert_to_numpy(value)) for name, value in flat.items()})
    if model.optimizer is not None:
        model.optimizer.finalize_variable_values(model.trainable_weights)  # as fit does, for moving averages


def _unique(variables: list[keras.Variable]) -> list[keras.Variable]:
    return list({id(variable): variable for variable in variables}.values())


def both_ways(make: Any) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Train in fit and in a loop of one's own; return fit's curves and state, after comparing the two."""
    curves, state = trained(make, own_loop=False)
    own_curves, own_state = trained(make, own_loop=True)
    for name, curve in curves.items():
        np.testing.assert_allclose(own_curves[name], curve, rtol=1e-5, atol=1e-6, err_msg=name)
    assert len(own_state) == len(state)
    for (name, value), other in zip(state.items(), own_state.values(), strict=True):
        np.testing.assert_allclose(other, value, rtol=1e-4, atol=1e-5, err_msg=name)
    return curves, state
