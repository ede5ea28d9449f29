"""One prediction at a time, in a thread of its own; a bounded number of others wait."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from utils.errors import UserError

T = TypeVar("T")


class BusyError(UserError):
    """As many wait as may."""


class Turns:
    """Lets one work and `waiting` others wait, each of which has its picture in memory; who comes then is sent away."""

    def __init__(self, waiting: int) -> None:
        self.waiting = waiting
        self._places = threading.BoundedSemaphore(waiting + 1)
        # Always the same thread: each thread that computes has memory of its own, which would stay.
        self._worker = ThreadPoolExecutor(1, "predict")

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place in the queue; BusyError where there is none."""
        if not self._places.acquire(blocking=False):
            raise BusyError(f"{self.waiting + 1} pictures are waiting already: try again in a moment")
        try:
            yield
        finally:
            self._places.release()

    def do(self, work: Callable[[], T]) -> T:
        """Do it when its turn comes; gives what it gives, raises what it raises."""
        return self._worker.submit(work).result()

    def close(self) -> None:
        """Let nobody else begin."""
        self._worker.shutdown(wait=False, cancel_futures=True)
