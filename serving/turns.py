"""One prediction at a time, in a thread of its own; a bounded number of others wait, in bounded memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import IO, TypeVar

from utils.errors import UserError

T = TypeVar("T")
_PART = 1 << 16  # bytes that are read at once


class BusyError(UserError):
    """As many wait as may."""


class Store:
    """Bounds the bytes of pictures that are in memory, over all who send one: `most` at once."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._held, self._lock = 0, threading.Lock()

    @contextmanager
    def holding(self, stream: IO[bytes], length: int) -> Iterator[bytearray]:
        """Read `length` bytes, and hold them within the block. Who sends slowly takes no more room than has come.

        BusyError where there is no room; raises what the stream raises.
        """
        data = bytearray()
        try:
            while len(data) < length and (part := stream.read(min(_PART, length - len(data)))):
                self._take(len(part))
                data += part
            yield data
        finally:
            self._take(-len(data))

    def _take(self, count: int) -> None:
        with self._lock:
            if count > 0 and self._held + count > self.most:
                raise BusyError(f"{self.most / 2**20:g} MB of pictures are waiting already: try again in a moment")
            self._held += count


class Turns:
    """Lets one work and `waiting` others wait; who comes then is sent away."""

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
