"""Threads that read ahead of the consumer, in the consumer's order."""

from __future__ import annotations

import itertools
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any, TypeVar

Item = TypeVar("Item")


def read(make: Callable[[int], Item], start: int, stop: int, threads: int) -> Iterator[Item]:
    """Yield the items from `start` to `stop`, in order.

    At most `threads + 2` items are ahead of the consumer. An error in a thread is raised where its item is due. Leaving
    the iteration ends the threads. A fork that goes on with an iteration gets threads of its own.

    Args:
        make: makes an item of its number; called from threads, each number once.
        start: the first number.
        stop: the number behind the last.
        threads: how many; 0 to make each item when it is asked for.

    Example:
        >>> list(read(lambda number: number * number, 1, 5, threads=2))
        [1, 4, 9, 16]
    """
    if not threads:
        for number in range(start, stop):
            yield make(number)
        return
    while start < stop:
        # Anew in another process: threads do not survive a fork.
        for item in _read_in_threads(make, start, stop, threads):
            start += 1
            yield item


def _read_in_threads(make: Callable[[int], Item], start: int, stop: int, threads: int) -> Iterator[Item]:
    crew = _Crew(make, min(threads, stop - start))
    numbers = iter(range(start, stop))
    try:
        ahead = deque(crew.ask(number) for number in itertools.islice(numbers, threads + 2))
        while ahead:
            if crew.is_of_another_process():
                return
            is_made, item = ahead.popleft().get()
            if not is_made:
                raise item
            ahead.extend(crew.ask(number) for number in itertools.islice(numbers, 1))
            yield item
    finally:
        crew.close()


class _Crew:
    """Threads that make items.

    They and the consumer meet at simple queues alone: Ctrl-C may come at any point of a wait for one and leaves no lock
    held. In a wait for a Future, whose lock is Python code, it may become a RuntimeError.

    Args:
        make: makes an item of its number.
        count: how many threads.
    """

    def __init__(self, make: Callable[[int], Any], count: int) -> None:
        self._make = make
        self._process = os.getpid()
        self._tasks: SimpleQueue[tuple[int, SimpleQueue[tuple[bool, Any]]] | None] = SimpleQueue()
        self._is_open = True
        # An iteration that somebody keeps must not keep the interpreter from exiting.
        self._threads = [
            threading.Thread(target=self._work, name=f"uk.data-{number}", daemon=True)
            for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def ask(self, number: int) -> SimpleQueue[tuple[bool, Any]]:
        """Return where the item will be: (True, item), or (False, the error)."""
        answer: SimpleQueue[tuple[bool, Any]] = SimpleQueue()
        self._tasks.put((number, answer))
        return answer

    def is_of_another_process(self) -> bool:
        """Say whether this is a fork, which has none of the threads."""
        return os.getpid() != self._process

    def close(self) -> None:
        """End the threads, and wait for them."""
        self._is_open = False
        if self.is_of_another_process():
            return
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            number, answer = task
            if not self._is_open:
                continue
            try:
                answer.put((True, self._make(number)))
            except BaseException as error:  # it is the consumer's
                answer.put((False, error))
