"""Lists in which an image stands more than once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from datasets.base import Item
from utils.errors import UserError


def once(numbered: Iterable[tuple[int, Item]], path: str) -> tuple[list[Item], tuple[str, ...]]:
    """Give items of (line number, item), each image once, and what the log should say of the others.

    UserError where an image has another label, or another size, in a second line.
    """
    first: dict[str, tuple[int, Item]] = {}
    again: list[tuple[int, int]] = []
    for line, item in numbered:
        before, other = first.setdefault(os.path.normpath(item.image), (line, item))
        if before != line:
            _check_same(item, other, f"{path}, line {line}: {item.image} also stands in line {before}, with another")
            again.append((line, before))
    return [item for _, item in first.values()], _remark(again, path)


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
