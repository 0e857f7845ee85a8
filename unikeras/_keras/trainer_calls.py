"""Which of Keras' calls wants data: a data set is not told."""

from __future__ import annotations

import sys

import keras

from unikeras._keras.trainer_parts import EpochIterator


def is_for_training() -> bool | None:
    """Say whether the data that is being adapted is what `keras.Model.fit` trains on; None outside of such calls.

    `fit` makes the iterator of its training data first, then that of its validation data.
    """
    frame = sys._getframe(1)
    while frame is not None:
        if isinstance(frame.f_locals.get("self"), keras.Model):
            if frame.f_code.co_name in ("evaluate", "predict"):
                return False
            if frame.f_code.co_name == "fit":
                return not any(isinstance(value, EpochIterator) for value in frame.f_locals.values())
        frame = frame.f_back  # type: ignore[assignment]
    return None
