"""Some of many, evenly: places in a list, and images of all conditions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

from datasets.base import Item

T = TypeVar("T")


def evenly(count: int, wanted: int) -> list[int]:
    """Choose `wanted` of range(count), ascending and spread over all of it; every one where there are no more."""
    wanted = min(wanted, count)
    return [place * count // wanted for place in range(wanted)]


def spread(items: Sequence[T], wanted: int) -> tuple[T, ...]:
    """Choose at most so many of the items, evenly over all."""
    return tuple(items[place] for place in evenly(len(items), wanted))


def share(items: Sequence[Item], wanted: int) -> list[Item]:
    """Choose `wanted` items, spread over the list; every condition has its share of them, and at least one.

    Where there are fewer wanted than conditions, those with the most images have one.
    """
    groups: dict[str, list[int]] = {}
    for place, item in enumerate(items):
        groups.setdefault(item.condition, []).append(place)
    quota = dict.fromkeys(groups, 0)
    for _ in range(min(wanted, len(items))):
        # Adams' rule: the next one goes where an image so far stands for the most; nobody gets more than there are.
        stands_for = {
            name: (len(of) / quota[name] if quota[name] else math.inf, len(of)) for name, of in groups.items()
        }
        quota[max(groups, key=lambda name: stands_for[name])] += 1
    chosen = [place for name, number in quota.items() for place in spread(groups[name], number)]
    return [items[place] for place in sorted(chosen)]
