"""Sentences of four languages, cut into pieces of bytes. Each sentence is in one part only: training or validation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import unikeras as uk

LANGUAGES = ("english", "french", "german", "spanish")
LENGTH, STEP = 32, 4
SENTENCES = Path(__file__).parent / "sentences.tsv"


def encode(text: str) -> np.ndarray:
    """Return the first bytes of a text, (LENGTH,) int32, and zeros behind."""
    found = text.lower().encode()[:LENGTH]
    return np.pad(np.frombuffer(found, np.uint8).astype("int32"), (0, LENGTH - len(found)))


def pieces(sentences: list[tuple[str, str]]) -> tuple[np.ndarray, np.ndarray]:
    """Return pieces of the sentences, (n, LENGTH) int32, and the numbers of their languages, (n,) int32."""
    found = [
        (encode(text[start:]), LANGUAGES.index(language))
        for language, text in sentences
        for start in range(0, max(1, len(text) - LENGTH + 1), STEP)
    ]
    x, y = zip(*found, strict=True)
    return np.stack(x), np.array(y, "int32")


def load(batch_size: int = 32, seed: int = 0) -> tuple[Any, Any]:
    """Return batches of (bytes, language) for training and for validation: every fifth sentence."""
    lines = [line.split("\t") for line in SENTENCES.read_text(encoding="utf-8").splitlines()]
    sentences = [(language, text) for language, text in lines]
    train = [pair for number, pair in enumerate(sentences) if number % 5]
    training, validation = pieces(train), pieces(sentences[::5])
    return (
        uk.data.from_arrays(*training).shuffle(seed).batch(batch_size),
        uk.data.from_arrays(*validation).batch(batch_size),
    )
