"""Threads that read ahead of the consumer, in the consumer's order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

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
        # One pool as long as the process is the same: threads do not survive a fork.
        for item in _read_in_threads(make, start, stop, threads):
            start += 1
            yield item


def _read_in_threads(make: Callable[[int], Item], start: int, stop: int, threads: int) -> Iterator[Item]:
    process = os.getpid()
    pool = ThreadPoolExecutor(min(threads, stop - start), thread_name_prefix="uk.data")
    ahead: deque[Future[Item]] = deque()
    numbers = iter(range(start, stop))
    try:
        for number in numbers:
            ahead.append(pool.submit(make, number))
            if len(ahead) > threads + 1:
                break
        while ahead:
            if os.getpid() != process:
                return
            item = ahead.popleft().result()
            number_after = next(numbers, None)
            if number_after is not None:
                ahead.append(pool.submit(make, number_after))
            yield item
    finally:
        if os.getpid() == process:
            pool.shutdown(wait=True, cancel_futures=True)
