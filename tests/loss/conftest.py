"""Two ranks in one process, and where the golden files lie."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from torch import Tensor

from utils.distributed import DistributedContext

GOLDEN = Path(__file__).parents[1] / "golden"


@dataclass(frozen=True)
class PairedRanks(DistributedContext):
    """One of two threads whose `sum` waits for the other's value."""

    world: int = 2
    values: list = field(default_factory=lambda: [None, None])
    meeting: threading.Barrier = field(default_factory=lambda: threading.Barrier(2, timeout=60))

    def sum(self, value: Tensor) -> Tensor:
        self.values[self.rank] = value.detach()
        self.meeting.wait()
        total = self.values[0] + self.values[1]
        self.meeting.wait()
        return total


def _on_two_ranks(work: Callable[[DistributedContext], object]) -> list:
    """Results of `work(ranks)` on rank 0 and on rank 1."""
    first, results = PairedRanks(), [None, None]

    def run(ranks: PairedRanks) -> None:
        try:
            results[ranks.rank] = work(ranks)
        except BaseException as error:  # handed on to the test
            results[ranks.rank] = error
            ranks.meeting.abort()

    threads = [threading.Thread(target=run, args=(replace(first, rank=rank),)) for rank in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


@pytest.fixture
def on_two_ranks():
    return _on_two_ranks


@pytest.fixture(scope="session")
def golden():
    """Folder of the golden files."""
    return GOLDEN
