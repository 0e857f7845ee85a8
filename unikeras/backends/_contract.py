"""The contract of a backend: what frameworks do differently and Keras does not unify.

Numerics go through `keras.ops`; what stands here is the rest. `README.md` in this folder tells the
contract in prose and how to add a backend; `tests/contract/` holds its contract tests.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np


# Takes native tensors; returns outputs to differentiate, and other tensors that come along.
FlatFunction = Callable[[Sequence[Any]], tuple[list[Any], list[Any]]]
# From output gradients to gradients of the primals.
Pullback = Callable[[Sequence[Any]], list[Any]]
# Takes a function and its primals; returns the outputs, the other tensors, and the pullback.
Vjp = Callable[[FlatFunction, Sequence[Any]], tuple[list[Any], list[Any], Pullback]]

# What a traced function may not do: choose by a tensor's value, make a Python number or a numpy array of it, iterate
# over it, make a shape of it; give branches or loops that do not fit; and ask for a gradient that nothing recorded.
TraceFault = Literal["choice", "number", "numpy", "iteration", "size", "branches", "loop", "backward"]


@dataclass(frozen=True)
class Program:
    """A traced function.

    Attributes:
        run: takes native tensors, reads and writes the state, returns native tensors.
        writes: whether it changes variables.
    """

    run: Callable[[Sequence[Any]], list[Any]]
    writes: bool


@dataclass(frozen=True)
class KeptValue:
    """The value that a variable had.

    Attributes:
        restore: gives it back to the variable.
        release: says that it will not be needed.
    """

    restore: Callable[[], None]
    release: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Composite:
    """How a tensor that consists of others, such as a sparse one, or a registered object is put together again.

    Attributes:
        kind: what the framework says of it besides the parts; programs are shared by tensors of equal kinds.
        count: how many parts it has.
        join: takes the kind and the parts, returns the tensor.
    """

    kind: Hashable
    count: int
    join: Callable[[Any, Sequence[Any]], Any]


class Tape(ABC):
    """Records what a thread computes, so that it can be differentiated.

    The public `unikeras.GradientTape` takes nested structures apart, checks arguments, knows which
    variables are watched and answers for misuse; an engine sees native tensors and watched variables.
    """

    @abstractmethod
    def start(self) -> None:
        """Begin to record."""

    @abstractmethod
    def stop(self) -> None:
        """End recording and put back all that `start` and `watch` changed in the user's objects."""

    @abstractmethod
    def pause(self) -> AbstractContextManager[None]:
        """Return a context in which this tape records nothing, while tapes around it go on."""

    @abstractmethod
    def watch(self, tensor: Any) -> None:
        """Record what is computed from a native floating or complex tensor."""

    @abstractmethod
    def read(self, variable: Any, value: Any) -> Any:
        """Record what is computed from the value that a watched variable gives out.

        Args:
            variable: a Keras variable.
            value: what it holds, or what a tape around this one gives out for it.

        Returns:
            The tensor to return instead; same values.
        """

    def pass_by(self, variable: Any, value: Any) -> Any:
        """Return the tensor that an unwatched variable returns: same values, also once it is assigned to."""
        return value

    @abstractmethod
    def gradient(
        self, targets: Sequence[Any], sources: Sequence[Any], output_gradients: Sequence[Any]
    ) -> list[Any]:
        """Return d(sum of targets)/d(source) for each source, or None where nothing connects them.

        Args:
            targets: native tensors, and variables that are sources too.
            sources: native tensors, and Keras variables that are watched or trainable.
            output_gradients: one per target: a tensor of its shape, or None for ones.
        """

    def gradient_to_apply(self, target: Any, sources: Sequence[Any]) -> list[Any]:
        """Return `gradient` of one target, for an optimizer: in a form that names touched rows where there is one."""
        return self.gradient([target], sources, [None])

    @abstractmethod
    def batched_gradient(self, target: Any, sources: Sequence[Any], output_gradients: Any) -> list[Any]:
        """Return `gradient` for each of several output gradients at once; the tape can answer again.

        Args:
            target: a native tensor.
            sources: as for `gradient`.
            output_gradients: a tensor of shape (n, *target.shape).

        Returns:
            For each source a tensor of shape (n, *source.shape), or None where nothing connects them.
        """

    @abstractmethod
    def reset(self) -> None:
        """Forget all that was recorded and watched so far; a tape that records goes on from nothing."""

    @abstractmethod
    def release(self) -> None:
        """Free all that was recorded."""


class Backend(ABC):
    """One framework, behind the few things that Keras leaves to each framework."""

    name: str
    # Whether one program may serve any size of an axis.
    free_axes: bool
    # What Keras' recurrent layers give out before the first step that a mask lets count: the initial state, or zeros.
    recurrence_begins_with_state: bool

    @abstractmethod
    def version(self) -> str:
        """Return the framework's version."""

    @abstractmethod
    def devices(self) -> list[str]:
        """Return the names of the devices that it can compute on, such as `"cpu:0"`."""

    @abstractmethod
    def is_tensor(self, value: Any) -> bool:
        """Say whether a value is a native tensor of this framework (a Keras variable is not)."""

    def parts(self, value: Any) -> tuple[Composite, list[Any]] | None:
        """Return the native tensors that a sparse or ragged tensor consists of; None for whatever is none."""
        return None

    def children(self, value: Any) -> tuple[Composite, list[Any]] | None:
        """Return what an object holds whose class is registered with this framework as a tree; None for any other.

        The children may be anything, other trees among them.
        """
        return None

    @abstractmethod
    def to_numpy(self, tensor: Any) -> np.ndarray[Any, Any]:
        """Return a native tensor's values as a numpy array, from whichever device it lies on."""

    @abstractmethod
    def synchronize(self, *values: Any) -> None:
        """Return once these tensors are computed, so that a clock read next tells the truth."""

    @abstractmethod
    def tape(self, persistent: bool, watch_accessed_variables: bool) -> Tape:
        """Return a new tape that has not started yet.

        Args:
            persistent: the tape will answer more than once.
            watch_accessed_variables: the framework's own trainable variables are watched when they are read.
        """

    @abstractmethod
    def no_grad(self) -> AbstractContextManager[None]:
        """Return a context in which no tape, and no gradient of the framework's own, records."""

    def evaluating(self) -> AbstractContextManager[None]:
        """Return a context for steps that do not train: they keep nothing for gradients, save what own tapes record."""
        return nullcontext()

    def undifferentiated(self, run: Callable[[], Any], arguments: Sequence[Any]) -> Any:
        """Return what `run` returns, for a function that no tape and no transform records.

        Nothing is kept then for gradients of the framework's own, and the results are no part of its graph. Where an
        argument is a part of it, the framework differentiates what this function belongs to, and goes on.

        Args:
            run: computes the results.
            arguments: what the function was called with, flat.
        """
        return run()

    @abstractmethod
    def native_vjp(self) -> Vjp | None:
        """Return the framework's own reverse differentiation where no tape can record, else None.

        That is inside the framework's own transforms, if they allow no tape.
        """

    @abstractmethod
    def jvp(
        self, f: FlatFunction, primals: Sequence[Any], tangents: Sequence[Any]
    ) -> tuple[list[Any], list[Any], list[Any]]:
        """Differentiate a function forward.

        Args:
            f: takes native tensors, returns two lists of them: outputs to differentiate, and others.
            primals: native tensors.
            tangents: a native tensor for each primal, of its shape and dtype.

        Returns:
            The outputs, their tangents, and the others.
        """

    @abstractmethod
    def custom_gradient(
        self, run: Callable[[Sequence[Any]], tuple[list[Any], Pullback]], inputs: Sequence[Any]
    ) -> list[Any]:
        """Run a function of flat tensors that brings its own pullback.

        Args:
            run: takes native tensors; returns outputs, and a function from their gradients (anything for integers) to
                one gradient, or None, for each input.
            inputs: floating and complex native tensors.
        """

    @abstractmethod
    def vmap(self, f: Callable[[Sequence[Any]], list[Any]], batched: Sequence[Any]) -> list[Any]:
        """Run a function for each element along the first axis of native tensors, as one computation.

        Args:
            f: takes one element of each, returns a list of native tensors.
            batched: native tensors whose first axes have the same length.

        Returns:
            The outputs, stacked along a new first axis.
        """

    @abstractmethod
    def remat(self, f: Callable[[Sequence[Any]], list[Any]], tensors: Sequence[Any]) -> list[Any]:
        """Run a function and keep only its inputs; the backward pass runs it again.

        Args:
            f: takes native tensors, returns a list of them, assigns to no variable. It may use other tensors, and read
                variables: both have their gradients, and the second run sees the values that the first one saw.
            tensors: its arguments.
        """

    @abstractmethod
    def is_symbolic(self, value: Any) -> bool:
        """Say whether a value is a tensor of a trace: it has a shape, and no numbers."""

    @abstractmethod
    def is_tracing(self) -> bool:
        """Say whether the code that runs now is being traced with its state, so that what it calls is too."""

    def trace_fault(self, error: BaseException) -> TraceFault | None:
        """Return what a traced function did, as the framework's error tells; None if it tells something else."""
        return None

    @abstractmethod
    def program_input(self, array: Any) -> Any:
        """Return a numpy array or number as what a compiled program takes: itself, or a native tensor."""

    @abstractmethod
    def compile(
        self,
        f: Callable[[Sequence[Any]], list[Any]],
        shapes: Sequence[tuple[int | None, ...]],
        dtypes: Sequence[Any],
        jit_compile: bool | str,
        donate: bool = True,
    ) -> Program:
        """Trace a function of flat tensors, with the Keras variables that it reads and writes as its state.

        Args:
            f: takes native tensors, returns a list of them. It runs here, once or twice, and not again.
            shapes: of its arguments; None, where `free_axes` says so, for an axis of any size.
            dtypes: of its arguments, as native tensors have them.
            jit_compile: True, False, or `"auto"` for what is fastest where it is supported.
            donate: whether the memory of variables that `f` writes may be reused for what it writes.
        """

    @abstractmethod
    def untraced(self, f: Callable[..., Any], jit_compile: bool | str) -> Callable[..., Any] | None:
        """Return how `f` runs where it is not traced by `compile`: eagerly, or by the framework's own means.

        None where `compile` must trace it. The arguments are those of `compile`.
        """

    def prepare(self) -> None:  # noqa: B027 - most need no more than they do by themselves
        """Install what functions need of Keras here, before the first one runs; again is nothing."""

    @abstractmethod
    def eager(self) -> AbstractContextManager[None]:
        """Return a context in which nothing is compiled, by the framework's own functions neither."""

    @abstractmethod
    def observed(self, tensor: Any, see: Callable[[Any], None]) -> Any:
        """Return the same numbers; when a gradient comes back to them, it is shown to `see`, with its values."""

    @abstractmethod
    def batches(self, adapter: Any) -> Iterable[Any]:
        """Return the batches of a Keras data adapter in the form that is fastest for steps on this backend.

        They are numpy arrays or native tensors, in the order that the adapter has for numpy where it can.
        """

    def concatenated(self, outputs: Sequence[Any]) -> Any:
        """Return a model's outputs for several batches as one numpy array, joined along the first axis.

        Where other axes differ in size, or outputs are sparse, it is what the framework has for such.
        """
        import numpy as np
        from keras import ops

        arrays = [np.asarray(ops.convert_to_numpy(output)) for output in outputs]
        return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)

    @abstractmethod
    def recurrence(
        self,
        cell: str,
        x: Any,
        states: Sequence[Any],
        mask: Any | None,
        weights: Sequence[Any],
    ) -> tuple[Any, list[Any]] | None:
        """Run an LSTM or a GRU over a sequence by the fastest means there are; it can be differentiated like any code.

        Args:
            cell: `"lstm"`, or `"gru"` (with the reset gate after the matrix product); tanh, and sigmoid for the gates.
            x: (batch, time, features), native and floating; batch and time are at least 1.
            states: h and, for an LSTM, c: (batch, units), of x's dtype.
            mask: (batch, time), native booleans: False where a step does not count. Any pattern; None for none.
            weights: kernel, recurrent kernel and, where there is one, bias: as Keras has them, of x's dtype.

        Returns:
            The state h after each step, (batch, time, units), and the final states. A step that does not count leaves
            the states as they are. None where nothing is faster than Keras' own loop.
        """

    @abstractmethod
    def set_training(self, model: Any, training: bool) -> None:
        """Tell the framework's own modules inside a Keras model whether it is trained."""

    @abstractmethod
    def keep(self, variable: Any) -> KeptValue:
        """Keep the value of a variable that is about to change.

        Args:
            variable: a Keras variable; it may be assigned to, or change in place.
        """

    def on_native_write(  # noqa: B027 - most frameworks have no modules of their own in Keras
        self, see: Callable[[list[Any]], None]
    ) -> None:
        """Let `see` know of state of the framework's own modules, such as buffers, before it changes in place.

        Args:
            see: takes what `keep` takes.
        """
