"""Items of a split in little memory: a million of them take some thirty megabytes, shared with loader processes.

A list of a million named tuples takes half a gigabyte, and as much again in every loader process, since looking at an
object writes into its page.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, overload

import numpy as np

from datasets.base import Item
from datasets.kept import Kept

_BLOCK = 64  # items that are packed, and read, together
# Fields that differ from item to item, two more of which stand between, and `kept` at the end; the others are mostly
# alike, and each combination is there once.
_TEXTS, _REST = slice(0, 3), slice(6, -1)


class ItemTable(Sequence[Item]):
    """A sequence of items, packed by blocks into one string of bytes."""

    def __init__(
        self, data: bytes, ends: np.ndarray, labeled: np.ndarray, common: list[tuple[Any, ...]], places: range
    ) -> None:
        self._data, self._ends, self._labeled, self._common, self._places = data, ends, labeled, common, places
        self._last: tuple[int, list[Item]] = (-1, [])  # the block that was read last

    @classmethod
    def of(cls, items: Iterable[Item]) -> ItemTable:
        """Pack items, one block of them in memory at a time; a table is taken as it is."""
        if isinstance(items, ItemTable):
            return items
        data, ends, labeled = bytearray(), [0], bytearray()
        common: list[tuple[Any, ...]] = []
        number: dict[tuple[Any, ...], int] = {}
        source = iter(items)
        while block := list(islice(source, _BLOCK)):
            rows = []
            for item in block:
                kind = number.setdefault(_kind(item), len(common))
                if kind == len(common):
                    common.append((item.train_ids, *item[_REST]))
                rows.append((*item[_TEXTS], item.pseudo_label_confidence, item.coarse_label, item.kept, kind))
            data += zlib.compress(json.dumps([*zip(*rows, strict=True)], separators=(",", ":")).encode(), 1)
            ends.append(len(data))
            labeled += bytes(item.label is not None for item in block)
        marks = np.frombuffer(bytes(labeled), bool)
        return cls(bytes(data), np.array(ends, np.int64), marks, common, range(len(marks)))

    @property
    def labeled(self) -> np.ndarray:
        """Which items have a label, (n,) bool."""
        return self._labeled[np.asarray(self._places, np.int64)]

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Item: ...

    @overload
    def __getitem__(self, index: slice) -> ItemTable: ...

    def __getitem__(self, index: int | slice) -> Item | ItemTable:
        if isinstance(index, slice):
            return ItemTable(self._data, self._ends, self._labeled, self._common, self._places[index])
        return self._at(self._places[index])

    def __iter__(self) -> Iterator[Item]:
        return map(self._at, self._places)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ItemTable | list | tuple):
            return NotImplemented
        return len(self) == len(other) and all(one == two for one, two in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def _at(self, place: int) -> Item:
        block, offset = divmod(place, _BLOCK)
        number, items = self._last
        if number != block:
            items = self._unpacked(block)
            self._last = (block, items)  # in one step: threads read items too
        return items[offset]

    def _unpacked(self, block: int) -> list[Item]:
        packed = memoryview(self._data)[self._ends[block] : self._ends[block + 1]]
        found = []
        columns = json.loads(zlib.decompress(packed))
        for image, label, name, confidence, coarse, kept, kind in zip(*columns, strict=True):
            train_ids, *rest = self._common[kind]
            kept = Kept(*kept) if kept else None
            found.append(Item._make((image, label, name, train_ids, confidence, coarse, *rest, kept)))
        return found


def _kind(item: Item) -> tuple[Any, ...]:
    """Tell what an item has in common with others; classes have no hash, and are told apart by where they are."""
    rest = item._replace(spec=None)[_REST] if item.spec else item[_REST]
    return (item.train_ids, id(item.spec), *rest)


def labeled(items: Sequence[Item]) -> np.ndarray:
    """Tell which items have a label, (n,) bool."""
    if isinstance(items, ItemTable):
        return items.labeled
    return np.fromiter((item.label is not None for item in items), bool, len(items))
