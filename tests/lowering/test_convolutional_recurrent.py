"""ConvLSTM2D: its convolutions, its directions, and time that stays open."""

from __future__ import annotations

import keras
import pytest
from keras import layers

OPTIONS = [
    {},
    {"padding": "same", "return_sequences": True},
    {"padding": "same", "strides": 2, "return_sequences": True, "use_bias": False},
    {"return_state": True, "go_backwards": True, "return_sequences": True},
    {"dilation_rate": 2, "recurrent_activation": "hard_sigmoid"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_convolutional_lstm(options, lowered, floats):
    x = keras.Input((None, 7, 6, 3))
    model = keras.Model(x, layers.ConvLSTM2D(4, (3, 2), **options)(x))
    lowered(model, floats(2, 3, 7, 6, 3), floats(1, 1, 7, 6, 3))
