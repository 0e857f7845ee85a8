"""TimeDistributed with a dynamic time axis: Keras, when traced, takes as many steps as the batch has examples."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from unikeras._keras.patched import patched


@contextlib.contextmanager
def time_joins_batch() -> Iterator[None]:
    """Have TimeDistributed hand all steps to its layer at once, as further examples of the batch, in this thread."""
    from keras import layers

    with patched(layers.TimeDistributed, "call", _joined):
        yield


def _joined(original: Any) -> Any:
    def call(self: Any, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        from keras import ops

        if training or inputs.shape[1] is not None or (mask is not None and self.layer._call_has_mask_arg):
            return original(self, inputs, training=training, mask=mask)
        sizes = ops.shape(inputs)
        options = {"training": False} if self.layer._call_has_training_arg else {}
        steps = ops.reshape(inputs, (-1, *sizes[2:]))
        outputs = self.layer.call(steps, **options)
        return ops.reshape(outputs, (*sizes[:2], *ops.shape(outputs)[1:]))

    return call
