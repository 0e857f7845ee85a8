"""Functions as programs: how a framework traces and compiles, and how it runs what is not traced."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal

from unikeras._specs.graph_nodes import Graph

# Takes native tensors, returns native tensors.
TensorFunction = Callable[[Sequence[Any]], list[Any]]

# What a traced function may not do: choose by a tensor's value, make a Python number or a numpy array of it, iterate
# over it, make a shape of it; return branches or loops that do not fit; ask for a gradient that nothing recorded; and
# call what the framework's tracer does not take.
TraceFault = Literal[
    "choice", "number", "numpy", "iteration", "size", "branches", "loop", "backward", "native", "operator"
]


@dataclass(frozen=True)
class ProgramContent:
    """What a program consists of.

    Attributes:
        reads: the variables whose values it takes: Keras', or a framework's own, which have a `name` and no `path`.
        writes: the variables that it gives new values.
        in_place: those of them whose memory it changes, or gives away, while it runs.
        operators: how many operators of each name its graph has, also in the functions that the graph calls.
        removed: how many operators each pass removed or changed, by the pass's name.
        text: returns the graph as text.
        graph: returns the graph in the form that is the same for all backends.
    """

    reads: Sequence[Any]
    writes: Sequence[Any]
    in_place: Sequence[Any]
    operators: Mapping[str, int]
    text: Callable[[], str]
    graph: Callable[[], Graph]
    removed: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Program:
    """A function of flat tensors, ready to run.

    Attributes:
        run: takes native tensors, reads and writes the state, returns native tensors.
        writes: whether it may change variables.
        content: looks into the program; nothing of that is computed before.
        accepts: says whether it serves arguments of these shapes, which fit those that it was made for.
    """

    run: TensorFunction
    writes: bool
    content: Callable[[], ProgramContent]
    accepts: Callable[[Sequence[tuple[int, ...]]], bool] = lambda shapes: True


class Compiler(ABC):
    """How a framework makes programs of functions.

    Attributes:
        dynamic_axes: whether one program may serve any size of an axis.
        falls_back: whether a function that cannot be traced runs as Python; else it is an error.
    """

    dynamic_axes: bool
    falls_back: bool = False

    @abstractmethod
    def compile(
        self,
        f: TensorFunction,
        shapes: Sequence[tuple[int | None, ...]],
        dtypes: Sequence[Any],
        jit_compile: bool | str,
        donate: bool = True,
        sizes: Sequence[tuple[int, ...]] | None = None,
    ) -> Program:
        """Make a program of a function of flat tensors; the Keras variables that it reads and writes are its state.

        Args:
            f: takes native tensors, returns a list of them. It runs here, once or twice, and not again.
            shapes: of its arguments; None, where `dynamic_axes` is true, for an axis of any size.
            dtypes: of its arguments, as native tensors have them.
            jit_compile: True for the framework's compiler, False for the traced operators one by one, or `"auto"` for
                what is fastest where it is supported.
            donate: whether the memory of variables that `f` writes may be reused for what it writes.
            sizes: the shapes of one call, where axes of any size are among `shapes`.

        Returns:
            The program.

        Raises:
            StateError: the runs of `f` use different variables, or a later one creates some.
        """

    def is_recorded(self, tensors: Sequence[Any]) -> bool:
        """Say whether somebody outside differentiates what is called now, and could not see into a program.

        Args:
            tensors: the native tensors that a function is called with.
        """
        return False

    def own(self, variables: Sequence[Any]) -> None:  # noqa: B027 - most frameworks change nothing in place
        """Prepare for a change of variables in place while a program is traced: the program holds it back.

        Args:
            variables: Keras variables.
        """

    def saved_model_options(self) -> dict[str, Any]:
        """Return what Keras' archive needs to know of an endpoint of a SavedModel besides its inputs.

        Returns:
            Keywords of `keras.export.ExportArchive.add_endpoint`.
        """
        return {}

    def prepare(self) -> None:  # noqa: B027 - most frameworks need nothing
        """Install what functions need in Keras before the first one runs; a second call does nothing."""

    @abstractmethod
    def disable_compile(self) -> AbstractContextManager[None]:
        """Return a context in which nothing is compiled, also not by the framework's own functions."""

    def noting_layers(self) -> AbstractContextManager[None] | None:
        """Return a context in which programs note which layer an operator belongs to; None where all programs do."""
        return None

    @abstractmethod
    def is_tracing(self) -> bool:
        """Say whether a program is being traced, with its state, that takes in what is called here."""

    def trace_fault(self, error: BaseException) -> TraceFault | None:
        """Tell from a framework's error what a traced function did.

        Args:
            error: what the trace raised.

        Returns:
            What the function did; None where the error is about something else.
        """
        return None
