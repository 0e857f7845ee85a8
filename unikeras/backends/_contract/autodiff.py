"""Derivatives: the tape, the transforms, and the blocks that record nothing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from unikeras._specs.graph_nodes import Graph

# Takes native tensors; returns outputs to differentiate, and other tensors that come along.
FlatFunction = Callable[[Sequence[Any]], tuple[list[Any], list[Any]]]
# From output gradients to gradients of the primals.
Pullback = Callable[[Sequence[Any]], list[Any]]
# Takes a function and its primals; returns the outputs, the other tensors, and the pullback.
Vjp = Callable[[FlatFunction, Sequence[Any]], tuple[list[Any], list[Any], Pullback]]


class BackendTape(ABC):
    """Records what a thread computes, so that it can be differentiated.

    The public `unikeras.GradientTape` flattens nested structures, checks arguments, knows which variables are watched
    and reports misuse. A backend's tape sees native tensors and watched variables only.
    """

    @abstractmethod
    def start(self) -> None:
        """Begin to record.

        Raises:
            TransformError: a transform of the framework runs that allows no tape inside it.
        """

    @abstractmethod
    def stop(self) -> None:
        """Stop recording and undo all that `start` and `watch` changed in the user's objects."""

    @abstractmethod
    def pause(self) -> AbstractContextManager[None]:
        """Return a context in which this tape records nothing, while tapes around it go on."""

    @abstractmethod
    def watch(self, tensor: Any) -> None:
        """Record what is computed from a tensor.

        Args:
            tensor: a native tensor of any shape and a floating or complex dtype.

        Raises:
            TransformError: the tensor belongs to a transform that this tape cannot see into.
        """

    @abstractmethod
    def read(self, variable: Any, value: Any) -> Any:
        """Record what is computed from the value that a watched variable returns.

        Args:
            variable: a Keras variable.
            value: what it holds, or what a tape around this one returns for it.

        Returns:
            The tensor to return instead: same shape, dtype and values.
        """

    def pass_by(self, variable: Any, value: Any) -> Any:
        """Return the tensor that a variable returns which is not watched.

        Args:
            variable: a Keras variable.
            value: what it holds, or what a tape around this one returns for it.

        Returns:
            A tensor of the same shape, dtype and values, which it keeps when the variable is assigned to.
        """
        return value

    @abstractmethod
    def gradient(
        self, targets: Sequence[Any], sources: Sequence[Any], output_gradients: Sequence[Any]
    ) -> list[Any]:
        """Differentiate the sum of the targets with respect to each source.

        Args:
            targets: native tensors of any shape, and variables that are sources too.
            sources: native tensors, and Keras variables that are watched or trainable.
            output_gradients: one per target: a tensor of its shape and dtype, or None for ones.

        Returns:
            For each source a tensor of its shape and dtype, or None where no target depends on it.
        """

    def gradient_to_apply(self, target: Any, sources: Sequence[Any]) -> list[Any]:
        """Differentiate one target, for an optimizer.

        Args:
            target: a native tensor.
            sources: as for `gradient`.

        Returns:
            What `gradient` returns, or a form that names the touched rows, where the framework has one.
        """
        return self.gradient([target], sources, [None])

    @abstractmethod
    def batched_gradient(self, target: Any, sources: Sequence[Any], output_gradients: Any) -> list[Any]:
        """Differentiate one target for several output gradients at once; the tape can answer again.

        Args:
            target: a native tensor.
            sources: as for `gradient`.
            output_gradients: a tensor of shape (n, *target.shape) and the target's dtype.

        Returns:
            For each source a tensor of shape (n, *source.shape), or None where the target does not depend on it.

        Raises:
            TransformError: the framework cannot compute this as one batch, nor row by row.
        """

    @abstractmethod
    def reset(self) -> None:
        """Forget all that was recorded and watched so far; a tape that records goes on from nothing."""

    @abstractmethod
    def release(self) -> None:
        """Free all that was recorded."""


class Autodiff(ABC):
    """How a framework differentiates."""

    @abstractmethod
    def tape(self, persistent: bool, watch_accessed_variables: bool) -> BackendTape:
        """Make a tape that has not started yet.

        Args:
            persistent: the tape must answer more than once.
            watch_accessed_variables: the framework's own trainable variables are watched when they are read.

        Returns:
            The tape.
        """

    @abstractmethod
    def no_grad(self) -> AbstractContextManager[None]:
        """Return a context in which no tape that records now, and no gradient of the framework's own, records."""

    def inference_mode(self) -> AbstractContextManager[None]:
        """Return a context for steps that do not train: only tapes that start inside it keep anything for gradients."""
        return nullcontext()

    def recorded_graph(self, tensor: Any) -> Graph | None:
        """Return what computed a tensor, where the framework recorded it in eager code.

        Args:
            tensor: a native tensor of any shape and dtype.

        Returns:
            The graph; None where nothing was recorded.
        """
        return None

    def run_detached(self, run: Callable[[], Any], arguments: Sequence[Any]) -> Any:
        """Run a function that no tape and no transform records.

        Nothing is kept for gradients of the framework's own, and the results are no part of its graph. An argument
        that is part of that graph is an exception: the framework then differentiates the code around this function,
        and keeps what it needs.

        Args:
            run: computes the results.
            arguments: what the function was called with, as a flat list.

        Returns:
            What `run` returns.
        """
        return run()

    @abstractmethod
    def with_gradient_hook(self, tensor: Any, hook: Callable[[Any], None]) -> Any:
        """Let a function see the gradient that reaches a tensor.

        Args:
            tensor: a native tensor of any shape and a floating dtype.
            hook: called in the backward pass with the gradient: concrete values of the tensor's shape and dtype.

        Returns:
            A tensor with the same values, to compute with in place of the argument.
        """

    @abstractmethod
    def native_vjp(self) -> Vjp | None:
        """Return the framework's own reverse differentiation where no tape can record, else None.

        No tape can record inside those transforms of the framework that do not allow one.
        """

    @abstractmethod
    def jvp(
        self, f: FlatFunction, primals: Sequence[Any], tangents: Sequence[Any]
    ) -> tuple[list[Any], list[Any], list[Any]]:
        """Differentiate a function in forward mode.

        Args:
            f: takes native tensors, returns two lists of them: outputs to differentiate, and others.
            primals: native tensors of any shape and a floating or complex dtype.
            tangents: one per primal: a native tensor of its shape and dtype.

        Returns:
            The outputs, their tangents (of the outputs' shapes and dtypes), and the others.

        Raises:
            TransformError: the function has a custom gradient, which forward mode cannot use on this backend.
        """

    @abstractmethod
    def custom_gradient(
        self, run: Callable[[Sequence[Any]], tuple[list[Any], Pullback]], inputs: Sequence[Any]
    ) -> list[Any]:
        """Run a function of flat tensors that brings its own pullback.

        Args:
            run: takes native tensors; returns outputs, and a function from their gradients (anything for integers) to
                one gradient, or None, for each input.
            inputs: native tensors of any shape and a floating or complex dtype.

        Returns:
            The outputs.

        Raises:
            TransformError: a transform around this call would not use the pullback.
        """

    @abstractmethod
    def vmap(self, f: Callable[[Sequence[Any]], list[Any]], batched: Sequence[Any]) -> list[Any]:
        """Run a function for each element along the first axis of tensors, as one computation.

        Args:
            f: takes one element of each tensor, returns a list of native tensors.
            batched: native tensors whose first axes have the same length.

        Returns:
            The outputs, stacked along a new first axis.

        Raises:
            TransformError: the function does what cannot run for many elements at once on this backend.
        """

    @abstractmethod
    def remat(self, f: Callable[[Sequence[Any]], list[Any]], tensors: Sequence[Any]) -> list[Any]:
        """Run a function and keep only its inputs; the backward pass runs it again.

        Args:
            f: takes native tensors, returns a list of them, assigns to no variable. It may use other tensors, and read
                variables: both have their gradients, and the second run sees the values that the first one saw.
            tensors: its arguments, of any shape and dtype.

        Returns:
            What `f` returns.
        """
