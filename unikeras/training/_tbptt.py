"""Truncated backpropagation through time: state goes on from chunk to chunk, gradients stop at the edge."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from unikeras._specs.states import flat
from unikeras.errors import ArgumentValueError
from unikeras.streaming import Step, stateful
from unikeras.training._chunked_data import Chunks
from unikeras.training._model import Model


class TruncatedBPTT(Model):
    """A model that is trained on long sequences, a chunk at a time; made by `uk.training.tbptt`.

    Its `fit` and `evaluate` take whole sequences. Its steps are those of `uk.Model`, on batches
    `({"x": chunk, "starts": (batch,)}, y, sample_weight)`; `starts` says in which rows a sequence begins.

    Args:
        step: the model as a step.
        chunk: steps in a chunk.
        **kwargs: as for `keras.Model`.

    Example:
        >>> import keras, unikeras as uk
        >>> model = keras.Sequential([keras.Input((None, 3)), keras.layers.GRU(4, return_sequences=True)])
        >>> uk.training.tbptt(model, chunk=5).chunk
        5
    """

    def __init__(self, step: Step, chunk: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.core = step.model  # tracked, so that its weights are this model's
        self.chunk = chunk
        # In a closure Keras looks for no variables: a state is no weight.
        self._states_of_batch = _BatchStates(step).of_batch
        self._step = lambda: step

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Run one chunk from the state of the chunk before, and remember what is left for the next."""
        step = self._step()
        states, begin = self._states_of_batch(inputs["starts"].shape[0])
        state = [_choose(inputs["starts"], first, held) for first, held in zip(begin, states, strict=True)]
        y, after = step._graph.run(step._inputs(inputs["x"]), state, training)
        for held, value in zip(states, after, strict=True):
            held.assign(value)
        return y

    def fit(self, x: Any = None, y: Any = None, batch_size: int | None = None, **options: Any) -> Any:
        """Train on whole sequences.

        Args:
            x: an array (sequences, time, ...), a list of arrays (time, ...) of any lengths, or a dict of such by the
                model's input names; or a data source of batches as the class describes them.
            y: a target for each step, likewise.
            batch_size: how many sequences are read side by side; 32 unless said.
            **options: as for `keras.Model.fit`; `shuffle` exchanges sequences, `validation_data` is (x, y).
                `sample_weight`, `class_weight` and `validation_split` are refused: chunks carry weights of their own.

        Returns:
            Keras' history.

        Raises:
            ArgumentValueError: x and y differ in number or lengths, y is missing, or an option is refused.
        """
        _refuse(options, x, y)
        shuffle = options.pop("shuffle", True)
        if y is not None:
            x = self._chunks(x, y, batch_size, shuffle)
        validation = options.pop("validation_data", None)
        if isinstance(validation, tuple | list):
            if len(validation) != 2:
                raise ArgumentValueError(
                    f"validation_data has to be (x, y); received {len(validation)} parts"
                    f"{': ' + _REFUSED['sample_weight'] if len(validation) == 3 else ''}"
                )
            size = options.pop("validation_batch_size", None) or batch_size
            validation = self._chunks(validation[0], validation[1], size)
        # Batches in another order would go on from states of other sequences.
        return super().fit(x, validation_data=validation, shuffle=False, **options)

    def evaluate(self, x: Any = None, y: Any = None, batch_size: int | None = None, **options: Any) -> Any:
        """Evaluate on whole sequences.

        Args:
            x: sequences as for `fit`.
            y: a target for each step, as for `fit`.
            batch_size: how many sequences are read side by side; 32 unless said.
            **options: as for `keras.Model.evaluate`; `sample_weight` is refused.

        Returns:
            The loss and the metrics, as `keras.Model.evaluate` returns them.

        Raises:
            ArgumentValueError: an option has no meaning for whole sequences, or targets are missing.
        """
        _refuse(options, x, y)
        if y is not None:
            x = self._chunks(x, y, batch_size)
        return super().evaluate(x, **options)

    def _chunks(self, x: Any, y: Any, batch_size: int | None, shuffle: bool = False) -> Chunks:
        chunks = Chunks(x, y, self.chunk, batch_size or 32, shuffle)
        self._states_of_batch(chunks.batch_size)  # a compiled step makes no variables
        return chunks


# What cannot be cut into chunks, and what to do instead.
_REFUSED = {
    "sample_weight": "chunks carry weights of their own, which leave out the steps behind the end of a sequence; "
    "weight the loss, or pass a data source of batches ({'x': chunk, 'starts': (batch,)}, y, sample_weight)",
    "class_weight": "a target for each step has no single class; weight the loss by class instead",
    "validation_split": "split the sequences and pass validation_data=(x, y)",
}


def _refuse(options: dict[str, Any], x: Any, y: Any) -> None:
    """Refuse options that mean nothing for whole sequences, and sequences without targets.

    Raises:
        ArgumentValueError: there are such; all of them are named.
    """
    problems = [
        f"{name} is not supported: {reason}"
        for name, reason in _REFUSED.items()
        if not _is_unset(options.get(name))
    ]
    if y is None and (hasattr(x, "shape") or isinstance(x, list | tuple | dict)):
        problems.append("y is missing: whole sequences need a target for each step")
    if problems:
        raise ArgumentValueError("; ".join(problems))


def _is_unset(value: Any) -> bool:
    return value is None or (isinstance(value, float | int) and value == 0)


class _BatchStates:
    """Variables that hold the state of a batch, by batch size, with what a sequence begins with."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self._held: dict[int, tuple[list[Any], list[Any]]] = {}

    def of_batch(self, size: int) -> tuple[list[Any], list[Any]]:
        if size not in self._held:
            begin = flat(self._step.states, self._step.initial_state(size))
            begin = [keras.Variable(value, trainable=False, dtype=value.dtype) for value in begin]
            states = [keras.Variable(ops.copy(one.value), trainable=False, dtype=one.dtype) for one in begin]
            self._held[size] = (states, begin)
        return self._held[size]


def _choose(starts: Any, first: Any, held: Any) -> Any:
    is_first = ops.reshape(starts, (-1, *[1] * (len(held.shape) - 1)))
    return ops.where(is_first, first.value, held.value)


def tbptt(model: Any, chunk: int) -> TruncatedBPTT:
    """Return a model for training on sequences that are too long to keep whole in memory for their gradients.

    Sequences are cut into chunks. The state after a chunk is the state before the next one; the gradient stops in
    between, as one update follows each chunk. Where a row of the batch begins another sequence, its state begins anew.

    Source: Williams and Peng (1990), An efficient gradient-based algorithm for on-line training of recurrent network
    trajectories; here as many steps forward as back.

    Args:
        model: a functional or Sequential model with recurrent layers, with an output for each step; or
            `uk.stateful` of one.
        chunk: how many steps a gradient goes back at most.

    Returns:
        A `uk.Model` over the very weights of the model: compile it, and `fit(x, y)` on whole sequences.

    Raises:
        ArgumentValueError: chunk is no positive integer, or an output of the model has no value for each step.
        CannotStream: the model cannot be fed in chunks.

    Example:
        >>> import keras, numpy as np, unikeras as uk
        >>> layers = [keras.Input((None, 3)), keras.layers.GRU(4, return_sequences=True), keras.layers.Dense(1)]
        >>> model = keras.Sequential(layers)
        >>> trainer = uk.training.tbptt(model, chunk=5)
        >>> trainer.compile(optimizer="adam", loss="mse")
        >>> x = np.ones((2, 20, 3), "float32")
        >>> history = trainer.fit(x, x[..., :1], epochs=2, verbose=0)
        >>> len(history.history["loss"])
        2
    """
    if isinstance(chunk, bool) or not isinstance(chunk, int) or chunk < 1:
        raise ArgumentValueError(f"chunk has to be an integer of 1 or more; received {chunk!r}")
    step = stateful(model)
    if not all(step.sequence_outputs):
        raise ArgumentValueError(
            f"an output of model {step.name!r} has no value for each step, so that a chunk has no target of "
            "its own; give its last recurrent layer return_sequences=True"
        )
    return TruncatedBPTT(step, chunk)
