"""SIGTERM and Ctrl-C that wait for a moment at which work can be saved."""

from __future__ import annotations

import signal
import threading
from types import CodeType, FrameType
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class ExitSignals:
    """Whether this process was asked to end, and how it does so once its work is saved.

    Signals wait only in the main thread, where Python delivers them. A second signal takes effect at once. One that
    the process ignores stays ignored.

    Attributes:
        pending: the signal that waits, or None.
    """

    def __init__(self) -> None:
        self.pending: int | None = None
        self._before: dict[int, Any] = {}
        self._code: CodeType | None = None

    def hold(self, code: CodeType | None = None) -> None:
        """Let signals wait until `deliver` or `release`.

        Args:
            code: of the function that works; once it is no longer on the stack, signals take effect at once, in case
                that an error has kept `release` from being called.
        """
        self._code = code
        if threading.current_thread() is not threading.main_thread():
            return
        for number in _SIGNALS:
            before = signal.getsignal(number)
            # None: a handler that was not installed from Python, and cannot be put back.
            if number not in self._before and before not in (signal.SIG_IGN, None):
                self._before[number] = before
                signal.signal(number, self._note)

    def release(self) -> None:
        """Put the former handlers back, and let a signal that waits take effect."""
        self._put_back()
        self.deliver()

    def deliver(self) -> None:
        """Let the signal that waits take effect, by the handler that was there before: usually, the process ends.

        Returns where that handler returns; signals wait again then.
        """
        number, self.pending = self.pending, None
        if number is None:
            return
        held, code = bool(self._before), self._code
        self._put_back()
        signal.raise_signal(number)
        if held:
            self.hold(code)

    def _put_back(self) -> None:
        while self._before:
            signal.signal(*self._before.popitem())

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.pending is None and (self._code is None or _runs(self._code, frame)):
            self.pending = number
            return
        self.pending = None
        self._put_back()
        signal.raise_signal(number)


def _runs(code: CodeType, frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code is code:
            return True
        frame = frame.f_back
    return False
