"""What a process uses: memory, open files, threads; and how that grows."""

from __future__ import annotations

import os
import threading
import time
from typing import NamedTuple

import numpy as np


class Usage(NamedTuple):
    """`memory`: MB that are resident; `files`: open ones; `threads`: those of the system, torch's among them."""

    memory: float
    files: int
    threads: int


def usage() -> Usage:
    """Of this process, now."""
    pages = int(open("/proc/self/statm").read().split()[1])
    here = os.listdir("/proc/self/fd"), os.listdir("/proc/self/task")
    return Usage(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, *map(len, here))


def slope(values: list[float], each: int) -> float:
    """What a series with a value for `each` steps gains in a thousand steps, by least squares."""
    return float(np.polyfit(np.arange(len(values)) * each / 1000, values, 1)[0]) if len(values) > 1 else 0.0


class Watch(threading.Thread):
    """Looks at this process again and again: `most` has the largest of each value; `before` those at the beginning.

    `named`: the most threads at once whose names have `word`.
    """

    def __init__(self, pause: float = 0.02, word: str = "\n") -> None:
        super().__init__(daemon=True)
        self._pause, self._over, self._word, self.named = pause, threading.Event(), word, 0
        self.before = self.most = usage()

    def run(self) -> None:
        """Until it is told to end."""
        while not self._over.is_set():
            memory, files, threads = (max(pair) for pair in zip(self.most, usage(), strict=True))
            self.most = Usage(memory, int(files), int(threads))
            self.named = max(self.named, sum(self._word in thread.name for thread in threading.enumerate()))
            time.sleep(self._pause)

    def end(self) -> Usage:
        """End; gives the values afterwards."""
        self._over.set()
        self.join()
        return usage()
