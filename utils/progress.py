"""How far a long piece of work is: a bar on a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

try:
    from tqdm import tqdm
except ImportError:  # exported files are run without it
    tqdm = None

T = TypeVar("T")
_done = [0]


def pieces_done() -> int:
    """Count the pieces of work that this process has done under some progress: who does one is at work."""
    return _done[0]


def counted(items: Iterable[T]) -> Iterator[T]:
    """Iterate over the items, and count each for `pieces_done`."""
    for item in items:
        yield item
        _done[0] += 1


def progress(items: Iterable[T], label: str, total: int, lines: int = 5, shown: bool = True) -> Iterator[T]:
    """Iterate over the items. Beside them on stderr stands a bar, or, where that is no terminal, about `lines` lines
    with the time left.

    `total` 0: unknown; a line every hundred items then.
    """
    items = counted(items)
    if not shown:
        yield from items
        return
    if tqdm and sys.stderr.isatty():
        yield from tqdm(items, label, total or None, leave=False, dynamic_ncols=True)
        return
    began, every = time.perf_counter(), max(1, total // lines) if total else 100
    for done, item in enumerate(items, 1):
        yield item
        if done == total or done % every == 0:
            of = f"/{total}" if total else ""
            left = (time.perf_counter() - began) / done * (total - done)
            print(f"{label} {done}{of}" + (f", {left:.0f} s left" if left > 0 else ""), file=sys.stderr, flush=True)
