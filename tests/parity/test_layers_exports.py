"""Models with the fused layers leave in every format in which Keras' layers do."""

from __future__ import annotations

import keras
import pytest
from keras import layers

import unikeras as uk
from unikeras.export.request.format_table import FORMATS

pytestmark = pytest.mark.usefixtures("one_thread")


SUFFIXES = {name: row.suffix for name, row in FORMATS.items()}


def stacked(library):
    """Both layers, both directions, and a mask with a start of its own."""
    keras.utils.set_random_seed(0)
    tokens = keras.Input((6,), dtype="int32", name="tokens")
    x = layers.Embedding(9, 4, mask_zero=True)(tokens)
    x = layers.Bidirectional(library.layers.LSTM(5, return_sequences=True))(x)
    x, state = library.layers.GRU(3, return_state=True, go_backwards=True)(x)
    return keras.Model(tokens, [layers.Dense(2)(x), state])


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """What comes of the model of each library, by format."""
    found = {}
    for library in (keras, uk):
        folder = tmp_path_factory.mktemp("exports")
        for format, suffix in SUFFIXES.items():
            (artifact,) = uk.export_model(stacked(library), folder / f"model{suffix}", format).artifacts
            found[library, format] = artifact
    return found


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_is_proven_by_the_route_of_keras_layers(format, exported):
    ours, theirs = exported[uk, format], exported[keras, format]
    assert ours.route == theirs.route
    assert ours.verified_at == theirs.verified_at != []
    assert [skipped.route for skipped in ours.passed_over] == [
        skipped.route for skipped in theirs.passed_over
    ]
