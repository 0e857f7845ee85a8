"""What a recurrent layer says before its first unmasked step, when a state was handed to it."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="unikeras")
class Carried(keras.layers.Layer):
    """Repeats the output of the chunk before at masked steps that begin a chunk.

    A masked step repeats the output of the step before it. Keras does so within a call; at the beginning of one it
    gives zeros (on JAX the state), for it does not know what came before. The state does: in LSTM, GRU and
    SimpleRNN it is that output.

    Call arguments:
        outputs: (batch, time, units), or (batch, units) for the last one alone.
        steps: (batch, time) of booleans, the mask: which steps count.
        state: (batch, units), the output of the step before the chunk.

    Returns:
        The outputs, in their shape.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, outputs: Any, steps: Any, state: Any) -> Any:
        """Take the state where no step has counted yet."""
        seen = ops.cumsum(ops.cast(steps, "int32"), axis=1) > 0
        if len(outputs.shape) == 3:
            return ops.where(ops.expand_dims(seen, -1), outputs, ops.expand_dims(state, 1))
        return ops.where(seen[:, -1:], outputs, state)

    def compute_mask(self, outputs: Any, previous_mask: Any = None) -> Any:
        """Hand on the mask of the outputs, where they are a sequence."""
        return previous_mask if len(outputs.shape) == 3 else None

    def compute_output_spec(self, outputs: Any, steps: Any, state: Any) -> Any:
        """Return the spec of the outputs."""
        return keras.KerasTensor(outputs.shape, outputs.dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the config of every layer: Keras makes none up for one that is given a dtype policy."""
        config: dict[str, Any] = super().get_config()
        return config
