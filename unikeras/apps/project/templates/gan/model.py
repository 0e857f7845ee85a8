"""A generator and a critic that compete: one train step with two optimizers, written once for each backend."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

import unikeras as uk

BEST = None
NOISE = 16


@keras.saving.register_keras_serializable(package="gan")
class Gan(uk.Model):
    """Trains a generator of pictures against a critic that tells them from real ones.

    Args:
        generator: noise, (batch, NOISE), to pictures in [-1, 1].
        critic: pictures to a logit: real or not.
    """

    def __init__(self, generator: keras.Model, critic: keras.Model, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.generator, self.critic = generator, critic
        self.seeds = keras.random.SeedGenerator(0)
        self.losses_shown = [
            keras.metrics.Mean(name="critic_loss"),
            keras.metrics.Mean(name="generator_loss"),
        ]

    def compile(self, optimizer: Any = None, critic_optimizer: Any = None, **kwargs: Any) -> None:
        super().compile(optimizer=optimizer or keras.optimizers.Adam(1e-3, beta_1=0.5), **kwargs)
        self.critic_optimizer = critic_optimizer or keras.optimizers.Adam(1e-3, beta_1=0.5)
        self.loss_fn = keras.losses.BinaryCrossentropy(from_logits=True)

    @property
    def metrics(self) -> list[Any]:
        return self.losses_shown

    def call(self, noise: Any, training: bool | None = None) -> Any:
        return self.generator(noise, training=training)

    def train_step(self, data: Any) -> dict[str, Any]:
        pictures, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        noise = keras.random.normal((ops.shape(pictures)[0], NOISE), seed=self.seeds)
        with uk.GradientTape() as tape:
            made = ops.stop_gradient(self.generator(noise, training=True))
            real, fake = self.critic(pictures, training=True), self.critic(made, training=True)
            # Real ones count as 0.9, so that the critic stays unsure and the generator has a slope to follow.
            critic_loss = self.loss_fn(0.9 * ops.ones_like(real), real) + self.loss_fn(
                ops.zeros_like(fake), fake
            )
        weights = self.critic.trainable_variables
        self.critic_optimizer.apply(tape.gradient(critic_loss, weights), weights)

        with uk.GradientTape() as tape:
            fake = self.critic(self.generator(noise, training=True), training=True)
            generator_loss = self.loss_fn(ops.ones_like(fake), fake)
        weights = self.generator.trainable_variables
        self.optimizer.apply(tape.gradient(generator_loss, weights), weights)

        for metric, loss in zip(self.metrics, (critic_loss, generator_loss), strict=True):
            metric.update_state(loss)
        return {metric.name: metric.result() for metric in self.metrics}

    def get_config(self) -> dict[str, Any]:
        parts = {"generator": self.generator, "critic": self.critic}
        return super().get_config() | {n: keras.saving.serialize_keras_object(p) for n, p in parts.items()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Gan:
        parts = {n: keras.saving.deserialize_keras_object(config.pop(n)) for n in ("generator", "critic")}
        return cls(**parts, **config)


def build() -> Gan:
    """Return the compiled model."""
    generator = keras.Sequential(
        [
            keras.Input((NOISE,), name="noise"),
            layers.Dense(4 * 4 * 32, activation="relu"),
            layers.Reshape((4, 4, 32)),
            layers.Conv2DTranspose(32, 4, strides=2, padding="same", activation="relu"),
            layers.Conv2D(1, 3, padding="same", activation="tanh"),
        ],
        name="generator",
    )
    critic = keras.Sequential(
        [
            keras.Input((8, 8, 1), name="picture"),
            layers.Conv2D(32, 3, strides=2, padding="same"),
            layers.LeakyReLU(0.2),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(1, name="logit"),
        ],
        name="critic",
    )
    model = Gan(generator, critic)
    model.compile()
    return model


def to_export(model: Gan) -> keras.Model:
    """Return the part that is used after training: it draws pictures from noise."""
    return model.generator
