"""A call in a thread of its own, whose error is raised where it is waited for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


class BackgroundCall:
    """A call that begins at once, in a thread.

    Args:
        work: a function without arguments.

    Example:
        >>> call = BackgroundCall(lambda: 2)
        >>> call.wait()
        2
    """

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work
        self._result: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait(self) -> Any:
        """Wait until the call has ended, and return what it returned, or raise what it raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._result

    def _run(self) -> None:
        try:
            self._result = self._work()
        except BaseException as error:
            self._error = error
