"""A byte-level model that need not be trained: its replies depend on each byte before them."""

from __future__ import annotations

import numpy as np

LINES = ["i am Ada", "Beautiful is better", "", "caf\u00e9 \U0001f600 \0", "who am i"]


def talker(units=24, classes=256, seed=3):
    """Return a Keras model whose weights are the same under each backend."""
    import keras
    from keras import layers

    model = keras.Sequential(
        [
            keras.Input((None,), dtype="int32"),
            layers.Embedding(256, 8),
            layers.LSTM(units, return_sequences=True),
            layers.Dense(classes),
        ]
    )
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=weight.shape) for weight in model.get_weights()]
    weights[-1] *= 0  # a bias would say the same byte, whatever was heard
    if classes <= 256:  # letters only, so that one reply looks other than the next
        weights[-1][[n for n in range(classes) if not chr(n).isascii() or not chr(n).isalpha()]] = -100
    model.set_weights(weights)
    return model


def talk(model, lines, length):
    """Return the replies to lines, as the model itself gives them when it reads all from the beginning."""
    import keras

    read, replies = b"", []
    for line in lines:
        read += b"> " + line.encode() + b"\n"
        reply = b""
        while len(reply) < length and not reply.endswith(b"\n"):
            # One length for all, so that a backend compiles once; what follows a byte does not reach it.
            text = (read + reply).ljust(512, b"\0")
            logits = keras.ops.convert_to_numpy(model(np.frombuffer(text, np.uint8)[None].astype("int32")))
            reply += bytes([logits[0, len(read + reply) - 1].argmax()])
        read += reply.removesuffix(b"\n") + b"\n"
        text = reply.removesuffix(b"\n").decode(errors="replace")
        replies.append("".join(one if one.isprintable() else "\ufffd" for one in text))
    return replies
