"""Some of many, evenly: places in a list, and what lies there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def evenly(count: int, wanted: int) -> list[int]:
    """Choose `wanted` of range(count), ascending and spread over all of it; every one where there are no more."""
    wanted = min(wanted, count)
    return [place * count // wanted for place in range(wanted)]


def spread(items: Sequence[T], wanted: int) -> tuple[T, ...]:
    """Choose at most so many of the items, evenly over all."""
    return tuple(items[place] for place in evenly(len(items), wanted))
