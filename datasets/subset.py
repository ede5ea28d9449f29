"""Some of many images, evenly, of all conditions."""

from __future__ import annotations

import math
from collections.abc import Sequence

from datasets.base import Item
from utils.evenly import spread


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
