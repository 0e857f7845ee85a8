"""`progress`: a bar for loops of one's own."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Generic, TypeVar

from unikeras._base.rank import rank
from unikeras.errors import ArgumentError, ArgumentValueError

T = TypeVar("T")
_SECONDS_BETWEEN_DRAWINGS = 0.05


class Progress(Generic[T]):
    """A source of batches that shows how far a loop over it is; each loop over it is an epoch with a bar of its own.

    Attributes:
        values: what the bar shows, by name.
    """

    def __init__(self, source: Iterable[T], total: int | None, title: str, verbose: int) -> None:
        self.values: dict[str, Any] = {}
        self._source = source
        self._total = total
        self._title = title
        self._verbose = verbose
        self._bar: _Bar | None = None

    def __len__(self) -> int:
        if self._total is None:
            raise TypeError(f"the length of this {type(self._source).__name__} is not known")
        return self._total

    def __iter__(self) -> Iterator[T]:
        self._finish()
        self.values = {}
        if self._verbose == 0:
            yield from self._source
            return
        bar = self._bar = _Bar(self._total, self._title, self._verbose, self.values)
        with bar.finished_before_tracebacks():
            for count, item in enumerate(self._source, 1):
                yield item
                bar.draw(count)

    def update(self, **values: Any) -> None:
        """Show values beside the bar.

        Args:
            **values: numbers, or tensors of one; they are read when the bar is drawn, so that a step on a device is
                not waited for each time.

        Raises:
            ArgumentError: a value is neither.
        """
        for name, value in values.items():
            if not hasattr(value, "__float__") or math.prod(getattr(value, "shape", ())) != 1:
                shape = f" of shape {tuple(value.shape)}" if hasattr(value, "shape") else ""
                raise ArgumentError(f"progress shows numbers; {name!r} is a {type(value).__name__}{shape}")
        self.values.update(values)

    def __enter__(self) -> Progress[T]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._finish()

    def _finish(self) -> None:
        if self._bar is not None:
            self._bar.finish()


class _Bar:
    """The bar of one epoch, drawn as Keras draws that of `fit`."""

    def __init__(self, total: int | None, title: str, verbose: int, values: dict[str, Any]) -> None:
        import keras

        self._count = 0
        self._drawn = 0.0
        self._verbose = verbose
        self._values = values
        self._is_finished = False
        self._bar = keras.utils.Progbar(total, verbose=verbose, stateless_metrics=())
        if verbose and title:
            sys.stdout.write(f"{title}\n")

    def draw(self, count: int) -> None:
        """Draw a step that is done, unless the bar was drawn just before."""
        self._count = count
        now = time.monotonic()
        if self._verbose == 1 and (count == 1 or now - self._drawn > _SECONDS_BETWEEN_DRAWINGS):
            self._drawn = now
            self._bar.update(count, _numbers(self._values), finalize=False)
        elif count == 1:
            self._bar.update(1, finalize=False)  # it notes when the first step was done

    def finish(self) -> None:
        """Draw the end, once: a line with the values, and the cursor below it."""
        if not self._is_finished:
            self._is_finished = True
            if self._count:
                self._bar.target = self._bar.target or self._count
                self._bar.update(self._count, _numbers(self._values), finalize=True)

    @contextlib.contextmanager
    def finished_before_tracebacks(self) -> Iterator[None]:
        """Finish the line before the traceback of an exception that nobody catches.

        It keeps the loop, and with it this generator, alive until it is printed.
        """
        original = sys.excepthook

        def hook(*exception: Any) -> None:
            self.finish()
            original(*exception)

        sys.excepthook = hook
        try:
            yield
        finally:
            if sys.excepthook is hook:
                sys.excepthook = original
            self.finish()


def progress(
    source: Iterable[T], *, total: int | None = None, title: str = "", verbose: int | str = "auto"
) -> Progress[T]:
    """Return a source of batches that draws a progress bar while a loop goes over it.

    It looks as the bar of Keras' `fit`, and is silent where that is silent: with `verbose=0`, after
    `keras.config.disable_interactive_logging()`, and in processes of another rank than 0. Where the output is no
    terminal, each epoch is one line, when it ends. A loop that is left early leaves a complete line.

    Args:
        source: anything to iterate over: a source of `uk.data`, a list, a generator, a DataLoader, a tf.data.Dataset.
        total: the number of batches, where the source does not know its length.
        title: a line before the bar, such as `"Epoch 1/3"`.
        verbose: 0 for nothing, 1 for a bar, 2 for a line when the epoch ends; `"auto"` chooses between 1 and 2.

    Returns:
        A `Progress`: iterate over it, and call its `update(loss=loss)`.

    Raises:
        ArgumentError: the source cannot be iterated over.
        ArgumentValueError: `total` is negative, or `verbose` none of these.

    Source: keras.utils.Progbar.

    Example:
        >>> bar = progress([1, 2, 3], verbose=2)
        >>> for batch in bar:
        ...     bar.update(loss=1 / batch)
        3/3 - 0s - ...s/step - loss: 0.3333
    """
    if not isinstance(source, Iterable):
        raise ArgumentError(f"progress takes something to iterate over; received {type(source).__name__}")
    if isinstance(verbose, bool) or verbose not in ("auto", 0, 1, 2):
        raise ArgumentValueError(f"verbose must be 'auto', 0, 1 or 2; received {verbose!r}")
    if total is not None and (not isinstance(total, int) or total < 0):
        raise ArgumentValueError(f"total must be a number of batches from 0; received {total!r}")
    return Progress(source, _length_of(source) if total is None else total, title, _verbosity(verbose))


def _length_of(source: Any) -> int | None:
    try:
        length = len(source)
    except (TypeError, NotImplementedError):  # a tf.data.Dataset of unknown length raises one of these
        return None
    return length if length >= 0 else None


def _verbosity(verbose: int | str) -> int:
    import keras

    if verbose == 0 or rank() != 0 or not keras.config.is_interactive_logging_enabled():
        return 0
    if verbose == "auto":
        shows_bars = sys.stdout is not None and (sys.stdout.isatty() or "ipykernel" in sys.modules)
        return 1 if shows_bars else 2
    return int(verbose)


def _numbers(values: dict[str, Any]) -> list[tuple[str, float]]:
    import keras

    def number(value: Any) -> float:
        return float(keras.ops.convert_to_numpy(value).item()) if hasattr(value, "shape") else float(value)

    return [(name, number(value)) for name, value in values.items()]
