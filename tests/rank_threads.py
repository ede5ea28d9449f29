"""Ranks as threads of this process: what they gather is handed over, without a process group."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from utils.distributed import DistributedContext

T = TypeVar("T")


class Meeting:
    """Where the threads wait for each other."""

    def __init__(self, world: int) -> None:
        self.barrier, self.values = threading.Barrier(world, timeout=60), [None] * world


@dataclass(frozen=True)
class ThreadRank(DistributedContext):
    """One of several ranks; sums of tensors it has none."""

    meeting: Meeting = field(default_factory=lambda: Meeting(1))

    def gather(self, value: Any) -> list[Any]:
        """Hand a value to all."""
        self.meeting.values[self.rank] = value
        self.meeting.barrier.wait()
        values = [*self.meeting.values]
        self.meeting.barrier.wait()
        return values

    def any(self, flag: bool) -> bool:
        """Ask all."""
        return any(self.gather(flag))

    def barrier(self) -> None:
        """Wait for all."""
        self.gather(None)


def in_threads(world: int, work: Callable[[DistributedContext], T]) -> list[T]:
    """Give what `work` gives on each rank; the first error of one is raised."""
    meeting = Meeting(world)
    with ThreadPoolExecutor(world) as pool:
        return list(pool.map(work, [ThreadRank(rank, world, rank, meeting=meeting) for rank in range(world)]))
