"""Small models that ask much of an export: what docs/export_matrix.md tells of.

A model is a function of this package's modules; the same one, with the same weights, is built on every backend.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from helpers.corpus import (
    attention,
    baseline,
    convolutions,
    dense,
    graphs,
    networks,
    precision,
    recurrent,
    uncommon,
)
from helpers.corpus.weights import randomize

MODULES = (baseline, dense, convolutions, recurrent, attention, graphs, precision, networks, uncommon)

MODELS: dict[str, Callable[[], Any]] = {
    name: make for module in MODULES for name, make in module.MODELS.items()
}


def build(name: str) -> Any:
    """Return a model of the corpus with weights that hide nothing, the same ones on every backend."""
    import keras

    keras.utils.clear_session()
    model = randomize(MODELS[name]())
    model.name = name
    return model
