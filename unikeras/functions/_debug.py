"""uk.debug: everything runs as Python, with values that a debugger can show."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from unikeras import backends

_depth = 0  # how many blocks are open
_nans = 0  # how many of them check numbers
_calls: Counter[str] = Counter()  # how often each function has run since the first of them was opened
_lock = threading.Lock()


def is_debugging() -> bool:
    """Say whether a `uk.debug` block is open, in whichever thread."""
    return _depth > 0


@contextlib.contextmanager
def debug(nans: bool = False) -> Iterator[None]:
    """Run every `uk.function` and every step of a `uk.Model` as plain Python in this block.

    Values are concrete, so a debugger stops inside `call`, a loss or a step and shows numbers, on each
    backend. The frameworks' own compiled functions run as Python too, where they can. It is slow.

    Args:
        nans: raise at the first NaN or Inf, and say which layer made it, forward or backward, and in which step.

    Raises:
        NonFiniteError: with `nans`, a NaN or an Inf appeared.

    Example:
        >>> import keras, unikeras as uk
        >>> @uk.function
        ... def double(x):
        ...     return x * float(x)
        >>> with uk.debug():
        ...     float(double(keras.ops.convert_to_tensor(3.0)))
        9.0
    """
    global _depth, _nans
    with contextlib.ExitStack() as stack:
        stack.enter_context(backends.current().disable_compile())
        if nans:
            from unikeras.functions import _nan_checks

            stack.enter_context(_nan_checks.check_layers())
        with _lock:
            _depth += 1
            _nans += nans
        try:
            yield
        finally:
            with _lock:
                _depth -= 1
                _nans -= nans
                if not _depth:
                    _calls.clear()


def run(name: str, runner: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Call a function under `debug`.

    Args:
        name: what messages call it.
        runner: takes its arguments and keyword arguments.
        args: positional arguments.
        kwargs: keyword arguments.
    """
    if not _nans:
        return runner(args, kwargs)
    from unikeras.functions import _nan_checks

    _calls[name] += 1
    with _nan_checks.step(name, _calls[name]):
        result = runner(args, kwargs)
        _nan_checks.check(f"the result of {name}", result)
        return result
