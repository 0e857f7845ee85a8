"""A small model that chats: its layers and its training."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import unikeras as uk
from unikeras.apps.chat._bytes import Tokens
from unikeras.apps.chat._conversations import Conversation, conversation
from unikeras.errors import ArgumentValueError

UNITS, CHUNK, BATCH, RATE = 128, 64, 32, 7e-3
ROUND = 512  # conversations that are generated, trained on and dropped
_WARM_UP = 0.02


@dataclass(frozen=True)
class Progress:
    """The progress of a training.

    Attributes:
        part: from 0 to 1.
        loss: of the last batch, in nats per byte.
        batches: number of batches so far.
    """

    part: float
    loss: float
    batches: int


def byte_model(units: int = UNITS, seed: int | None = None) -> Any:
    """Return a new LSTM that takes bytes and returns logits of the next one.

    Args:
        units: of the LSTM.
        seed: of the initial weights; None for nondeterministic ones.

    Returns:
        A `keras.Sequential`, (batch, time) integers to (batch, time, 256).

    Example:
        >>> byte_model(units=8).output_shape
        (None, None, 256)
    """
    uk.backend()  # chooses the backend before keras is imported
    import keras
    from keras import layers

    if seed is not None:
        keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((None,), dtype="int32", name="bytes"),
            # PyTorch's standard deviation of 1: Keras' is twenty times smaller and hardly reaches the gates.
            layers.Embedding(
                256, 32, embeddings_initializer=keras.initializers.RandomNormal(stddev=1.0), name="embedding"
            ),
            layers.LSTM(units, return_sequences=True, name="lstm"),
            layers.Dense(256, name="logits"),
        ],
        name="chat",
    )
    _keep_longer(model.get_layer("lstm").cell, seed)
    return model


def _keep_longer(cell: Any, seed: int | None) -> None:
    """Initialize the forget gates of an LSTM to remember for 1 to 64 steps instead of Keras' two or three.

    Source: Tallec and Ollivier (2018), Can recurrent neural networks warp time?; not their input gates, which
    start closed and learn too slowly for a training of minutes.
    """
    steps = np.random.default_rng(seed).uniform(1, CHUNK - 1, cell.units)
    bias = np.zeros(4 * cell.units, "float32")
    bias[cell.units : 2 * cell.units] = np.log(steps)
    cell.bias.assign(bias)


def train(
    model: Any,
    minutes: float = 3.0,
    rounds: int | None = None,
    seed: int = 0,
    tell: Callable[[Progress], None] = lambda progress: None,
) -> None:
    """Train a model on conversations that are generated on the fly.

    Args:
        model: from `byte_model`, or another one that takes and returns the same.
        minutes: training time, if `rounds` is None.
        rounds: number of rounds of 512 new conversations; reproducible, whatever the machine's speed.
        seed: of the conversations.
        tell: called after each batch.

    Raises:
        ArgumentValueError: `minutes` or `rounds` is not positive.

    Example:
        >>> model = byte_model(units=8)
        >>> losses = []
        >>> train(model, rounds=1, tell=lambda progress: losses.append(progress.loss))
        >>> losses[-1] < losses[0]
        True
    """
    if not minutes > 0 or (rounds is not None and rounds < 1):
        raise ArgumentValueError(
            f"minutes and rounds must be more than 0; received {minutes!r} and {rounds!r}"
        )
    import keras

    trainer = uk.training.tbptt(model, CHUNK)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    trainer.compile(keras.optimizers.Adam(rate(0.0), clipnorm=1.0), loss)
    clock = _Clock(minutes * 60, rounds)
    callback = _callback(keras, clock, tell)
    rng = random.Random(seed)
    while clock.part() < 1:
        made = [conversation(rng, difficulty(clock.part())) for _ in range(ROUND)]
        trainer.fit(*pairs(made), batch_size=BATCH, verbose=0, callbacks=[callback])
        clock.end_round()


def pairs(conversations: list[Conversation]) -> tuple[list[Tokens], list[Tokens]]:
    """Return the bytes of each conversation, and the byte that follows each of them."""
    texts = [np.frombuffer(one.text, np.uint8).astype(np.int32) for one in conversations]
    return [text[:-1] for text in texts], [text[1:] for text in texts]


def rate(part: float) -> float:
    """Return the learning rate at a part of the training: a short warm-up, then a cosine decay.

    Source: Loshchilov and Hutter (2017), SGDR: Stochastic Gradient Descent with Warm Restarts; here without restarts.

    Example:
        >>> rate(0.02), round(rate(1.0), 6)
        (0.007, 7e-05)
    """
    down = 0.5 + 0.5 * math.cos(math.pi * max(0.0, part - _WARM_UP) / (1 - _WARM_UP))
    return RATE * min(1.0, part / _WARM_UP + 0.01) * max(0.01, down)


def difficulty(part: float) -> float:
    """Return the share of distractions in the conversations at a part of the training.

    Source: Bengio et al. (2009), Curriculum Learning.
    """
    return min(1.0, max(0.0, 2 * part - 0.7))


class _Clock:
    """How far a training is, by time or by rounds."""

    def __init__(self, seconds: float, rounds: int | None) -> None:
        self._seconds, self._rounds = seconds, rounds
        self._begin = time.monotonic()
        self._rounds_done = 0
        self.part_of_round = 0.0

    def end_round(self) -> None:
        self._rounds_done, self.part_of_round = self._rounds_done + 1, 0.0

    def part(self) -> float:
        if self._rounds is not None:
            return (self._rounds_done + self.part_of_round) / self._rounds
        return min(1.0, (time.monotonic() - self._begin) / self._seconds)


def _callback(keras: Any, clock: _Clock, tell: Callable[[Progress], None]) -> Any:
    class Schedule(keras.callbacks.Callback):
        batches = 0

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.batches += 1
            clock.part_of_round = (batch + 1) / self.params["steps"]
            part = clock.part()
            self.model.optimizer.learning_rate = rate(part)
            tell(Progress(part, float(logs["loss"]), self.batches))
            self.model.stop_training = part >= 1

    return Schedule()
