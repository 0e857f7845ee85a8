"""`uk.stateful`: a model as a step that takes its state and returns it."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import tree

from unikeras import backends
from unikeras._base.notebook_html import table
from unikeras._keras.graph import graph_of, is_graph
from unikeras._specs.states import ABSENT, State, StateSpec, check_flat, flat, nested
from unikeras._specs.turns import SplitTurns
from unikeras.autodiff import is_differentiated
from unikeras.errors import ArgumentError, ArgumentValueError
from unikeras.functions import Function
from unikeras.streaming import _step_pickle
from unikeras.streaming._chunk_check import check
from unikeras.streaming._fingerprint import fingerprint
from unikeras.streaming._padded_turns import PaddedTurns
from unikeras.streaming._step_inputs import batch_size_of, flatten_inputs
from unikeras.streaming._streaming_graph import streaming


class Step:
    """A model that takes what its recurrent layers remember, and returns it; made by `uk.stateful`.

    It shares the layers and the weights of the model: train the one and the other has learned.

    Attributes:
        name: the model's name.
        model: the step as a functional `keras.Model`. It takes a dict `{"x": ..., "state/lstm/h": ...}`, where
            several inputs have the names that the model has for them, and returns a dict
            `{"y": ..., "state_out/lstm/h": ...}`.
        states: what is carried from chunk to chunk, in order.
        sequence_inputs: for each input, flat, whether its second axis is time.
        sequence_outputs: for each output, flat, whether it has a value for each step (the others have one
            for the last step of the chunk).

    Example:
        >>> import keras, numpy as np, unikeras as uk
        >>> model = keras.Sequential([keras.Input((None, 3)), keras.layers.GRU(4, name="gru")])
        >>> step = uk.stateful(model)
        >>> [spec.input_name for spec in step.states]
        ['state/gru/h']
        >>> y, state = step(np.ones((2, 5, 3), "float32"), step.initial_state(2))
        >>> tuple(y.shape), tuple(state["gru"]["h"].shape)
        ((2, 4), (2, 4))
    """

    def __init__(self, model: Any, sequence_outputs: Sequence[bool] | None = None) -> None:
        """Make the step of a model.

        Args:
            model: the model.
            sequence_outputs: what the check of the model found, where it was checked before; None to check it.
        """
        self._source = model
        self._graph = streaming(model)
        if not self._graph.states:
            raise ArgumentValueError(
                f"model {model.name!r} has no recurrent layer, so there is nothing to carry from chunk to chunk; "
                "call the model itself"
            )
        self.name = model.name
        self.states: tuple[StateSpec, ...] = tuple(self._graph.states)
        self.sequence_inputs = tuple(
            tensor.shape[1:2] == (None,) for tensor in tree.flatten(self._graph.inputs)
        )
        found = check(model, self._graph) if sequence_outputs is None else sequence_outputs
        self.sequence_outputs = tuple(found)
        self.model = self._graph.model
        # The step itself says when PyTorch's own gradients are off.
        self._run = Function(self._graph.run, records=True)

    @property
    def fingerprint(self) -> str:
        """A digest of architecture, state shapes and weights as they are now; the same under every backend."""
        return fingerprint(self._graph)

    @property
    def results(self) -> Any:
        """The structure of what a call returns, with numbers for the outputs, flat."""
        count = len(tree.flatten(self._graph.outputs))
        return tree.pack_sequence_as(self._graph.outputs, list(range(count)))

    def initial_state(self, batch_size: int = 1) -> State:
        """Return what a new sequence begins with.

        Args:
            batch_size: how many sequences.

        Returns:
            `{layer path: {"h": tensor, "c": tensor}}`, tensors of shape (batch_size, units); a cell with other
            states numbers them.

        Raises:
            ArgumentValueError: the batch size is no integer of 1 or more.
        """
        if not isinstance(batch_size, int) or batch_size < 1:
            raise ArgumentValueError(f"batch_size has to be an integer of 1 or more; received {batch_size!r}")
        layers = self._graph.recurrent.values()
        return nested(self.states, tree.flatten([layer.get_initial_state(batch_size) for layer in layers]))

    def __call__(self, x: Any, state: State = ABSENT, training: bool = False) -> tuple[Any, State]:
        """Run a chunk.

        Args:
            x: what the model takes, batch first, time second; any batch size, any number of steps.
            state: what `initial_state` or the call before returned, for the same batch; from any backend. Required.
            training: whether layers such as Dropout behave as in training. Where not, PyTorch's own
                gradients (`.backward()`) are off; a uk.GradientTape records either way.

        Returns:
            What the model returns, and the state after the chunk.

        Raises:
            ArgumentError: there is no state.
            SignatureError: x or the state does not fit the model, or they are of different batch sizes.
        """
        inputs = self._inputs(x)
        before = flat(self.states, state, batch_size_of(inputs))
        with (
            contextlib.nullcontext()
            if training or is_differentiated()
            else backends.current().inference_mode()
        ):
            y, after = self._run(inputs, before, training)
        return y, nested(self.states, after)

    def turns(
        self, inputs: Sequence[Any], states: Sequence[Sequence[Any] | None]
    ) -> tuple[list[Any], list[list[Any]]]:
        """Run chunks of different lengths, of several sequences, in one call, each as if it ran alone.

        Args:
            inputs: for each sequence what `__call__` takes, with a batch of 1.
            states: for each its state as a list in the order of `states`, with a batch of 1; None for a new one.

        Returns:
            For each sequence what the model returns, and its state as such a list; numpy arrays, a batch of 1 each.

        Raises:
            SignatureError: an input or a state does not fit the model.
        """
        leaves = [self._inputs(x) for x in inputs]
        known = [None if state is None else check_flat(self.states, list(state), 1) for state in states]
        if not self._graph.takes_padding:
            outputs, after = SplitTurns(self, self._flat_call).turns(leaves, known)
            return [tree.pack_sequence_as(self._graph.outputs, flat_y) for flat_y in outputs], after
        begin = flat(self.states, self.initial_state(1)) if any(state is None for state in known) else []
        filled: list[Any] = [begin if state is None else state for state in known]
        with backends.current().inference_mode():
            return self._run_padded(leaves, filled)

    def _flat_call(self, x: Any, state: State) -> tuple[list[Any], State]:
        y, after = self(x, state)
        return tree.flatten(y), after

    @functools.cached_property
    def _run_padded(self) -> Callable[..., Any]:
        return PaddedTurns(self._source, self._graph, self.sequence_inputs, self.sequence_outputs)

    def _inputs(self, x: Any) -> list[Any]:
        """Return what a caller passes as the model's inputs, in order."""
        return flatten_inputs(self._graph, self.sequence_inputs, x)

    def __reduce__(self) -> Any:
        return _restore, (_step_pickle.pack(self._source), self.sequence_outputs)

    def _repr_html_(self) -> str:
        rows = [(f"{spec.layer}/{spec.name}", f"{spec.dtype} {spec.shape}") for spec in self.states]
        return table(f"step of {self.name}, which carries for each example", rows)

    def __repr__(self) -> str:
        return f"<uk.stateful {self.name!r}: {', '.join(spec.input_name for spec in self.states)}>"


def _restore(packed: _step_pickle.Packed, sequence_outputs: Sequence[bool]) -> Step:
    """Return a step of a model that was checked before it was pickled."""
    return Step(_step_pickle.unpack(*packed), sequence_outputs)


def stateful(model: Any) -> Step:
    """Return a model as a compiled step whose state is an argument and a result.

        step = uk.stateful(model)
        state = step.initial_state(batch_size=2)
        y, state = step(x, state)

    A sequence may be fed in chunks of any length: their outputs, put together, are those of the whole. That is
    checked here, layer by layer, on random weights; a model for which it does not hold is refused.

    Args:
        model: a built functional or Sequential `keras.Model` with recurrent layers, also inside nested models.

    Returns:
        The step. It shares the model's layers and weights.

    Raises:
        ArgumentError: this is no such model.
        ArgumentValueError: it has no recurrent layer.
        CannotStream: a layer mixes steps in another way than by recurrence (Conv1D, attention, pooling over
            time, Bidirectional, go_backwards); the message names it.

    Example:
        >>> import keras, numpy as np, unikeras as uk
        >>> model = keras.Sequential([keras.Input((None, 3)), keras.layers.LSTM(4, name="lstm")])
        >>> step = uk.stateful(model)
        >>> x = np.ones((2, 10, 3), "float32")
        >>> _, state = step(x[:, :7], step.initial_state(batch_size=2))
        >>> y, state = step(x[:, 7:], state)
        >>> list(state["lstm"]), bool(keras.ops.all(keras.ops.isclose(y, model(x), atol=1e-5)))
        (['h', 'c'], True)
    """
    backends.current_name()
    if isinstance(model, Step):
        return model
    if not isinstance(model, keras.Model) or not is_graph(model):
        raise ArgumentError(
            f"uk.stateful takes a functional or Sequential keras.Model; received {type(model).__qualname__}, "
            "whose call() Keras keeps no graph of. Build it with keras.Sequential or keras.Model(inputs, outputs)"
        )
    if not model.built or graph_of(model) is None:
        raise ArgumentValueError(
            f"model {model.name!r} is not built, so it has no weights yet; begin it with keras.Input, or call it once"
        )
    return Step(model)
