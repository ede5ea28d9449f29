"""What all processes of a training agree on at each batch: whether there is one, and which samples were left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from utils.distributed import DistributedContext
from utils.errors import LoadingError
from utils.plural import counted


@dataclass
class LeftOut:
    """Bad samples in whose place others are read (--on_bad_sample skip): each is said once, and all are counted.

    `news`: those of this process that nobody has said yet.
    """

    say: Callable[[str], None] = print
    news: list[str] = field(default_factory=list)
    times: Counter[str] = field(default_factory=Counter)

    def take(self, lines: list[str]) -> None:
        """Say and count those of all processes."""
        for line in lines:
            if not self.times[line]:
                self.say(f"left out, another sample takes its place: {line}")
            self.times[line] += 1
        self.news.clear()

    @property
    def total(self) -> str:
        """How many samples were left out so far; empty for none."""
        files = counted(len(self.times), "reason")
        return f"left out since the start: {counted(self.times.total(), 'sample')}, for {files}" if self.times else ""


def agreed(batches: Iterator[Any], ranks: DistributedContext, left_out: LeftOut | None = None) -> Iterator[Any]:
    """Yield batches, as many on each rank. What keeps one rank from its next one is raised on all of them, together.

    Only so can all of them save what they have trained. `left_out` is told on all ranks what each of them left out.
    """
    left_out = left_out or LeftOut()
    while True:
        batch, fault = None, ""
        try:
            batch = next(batches, None)
        except LoadingError as error:
            fault = str(error)
        if ranks.any(bool(fault or left_out.news)):
            found = ranks.gather((fault, left_out.news))
            left_out.take([line for _, lines in found for line in lines])
            if faults := [text for text, _ in found if text]:
                raise LoadingError(faults[0])
        if batch is None:
            if left_out.total:
                left_out.say(left_out.total)
            return
        yield batch
