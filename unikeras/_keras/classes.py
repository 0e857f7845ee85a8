"""The class of functional models, how Keras tells one, and how a layer gets a part that it does not track."""

from typing import Any

from keras.src.models.functional import Functional
from keras.src.models.model import functional_init_arguments
from keras.src.utils.tracking import DotNotTrackScope

__all__ = ["DotNotTrackScope", "Functional", "functional_init_arguments", "untrack"]


def untrack(layer: Any, part: Any) -> None:
    """Have a layer forget a part that is about to be replaced; setting the attribute alone keeps both."""
    layer._tracker.untrack(part)
