"""Lists in which an image stands more than once."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from datasets.base import Item
from datasets.itemtable import ItemTable
from utils.digest import mark
from utils.errors import UserError


def once(numbered: Iterable[tuple[int, Item]], path: str) -> tuple[ItemTable, tuple[str, ...]]:
    """Give items of (line number, item), each image once, and what the log should say of the others.

    UserError where an image has another label, or another size, in a second line.
    """
    lines, marks = array("q"), array("q")

    def noted() -> Iterator[Item]:
        for line, item in numbered:
            lines.append(line)
            marks.append(mark(os.path.normpath(item.image)))
            yield item

    items = ItemTable.of(noted())
    _, firsts, group = np.unique(np.frombuffer(marks, np.int64), return_index=True, return_inverse=True)
    first = firsts[group]  # of each item, the place of the first one of its image
    again = np.flatnonzero(first != np.arange(len(first))).tolist()
    for place in again:
        before, item = lines[first[place]], items[place]
        where = f"{path}, line {lines[place]}: {item.image} also stands in line {before}, with another"
        _check_same(item, items[int(first[place])], where)
    if not again:
        return items, ()
    remark = _remark([(lines[place], lines[first[place]]) for place in again], path)
    return ItemTable.of(item for place, item in enumerate(items) if first[place] == place), remark


def _check_same(item: Item, other: Item, where: str) -> None:
    labels = [os.path.normpath(one.label) if one.label else None for one in (item, other)]
    if labels[0] != labels[1]:
        raise UserError(f"{where} label, {other.label}: keep one of them")
    if item.size != other.size and other.size:
        raise UserError(f"{where} size, {other.size[1]}x{other.size[0]}: keep one of them")


def _remark(again: Sequence[tuple[int, int]], path: str) -> tuple[str, ...]:
    if not again:
        return ()
    line, before = again[0]
    if len(again) == 1:
        return (f"note: {path}: 1 line repeats an image and counts once, line {line} as line {before}",)
    return (f"note: {path}: {len(again)} lines repeat images and count once, the first line {line} as line {before}",)
