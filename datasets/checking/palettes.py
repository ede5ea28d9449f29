"""Label files with palettes: one in which an index has another color than in the others may have other classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from datasets.checking.faults import Fault
from datasets.checking.look import Colors, Subject
from utils.plural import counted

Color = tuple[int, int, int]


def faults(every: Sequence[Subject], colors: Mapping[int, Colors]) -> Iterator[Fault]:
    """Tell of labels that have for an index another color than most others; `colors`: of subjects, by their place."""
    votes: dict[int, Counter[Color]] = {}
    for table in colors.values():
        for index, color in table:
            votes.setdefault(index, Counter())[color] += 1
    usual = {index: found.most_common(1)[0] for index, found in votes.items()}
    for place, table in colors.items():
        odd = next(((index, color) for index, color in table if color != usual[index][0]), None)
        if odd is not None:
            item, (color, count) = every[place].item, usual[odd[0]]
            what = f"has {odd[1]} for index {odd[0]} in its palette, {color} is that of {counted(count, 'label')}"
            yield Fault("palette-differs", every[place].where, str(item.label), what, item)
