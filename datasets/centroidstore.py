"""Files of class centroids: each holds those of some labels, told apart by a mark of their content.

What is new is one file more, so that a set that grows, or of which some labels change, is not read anew; processes that
write at once write files of their own, and none is ever seen half.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from datasets.pixelcounts import PixelCounts
from utils import arrayfile
from utils.digest import of_names
from utils.distributed import DistributedContext
from utils.files import reason, remove_halves, whole

_SHARED = 1024  # labels of a file: what a process that is killed has to make again


class Part(NamedTuple):
    """Labels by their `marks` (m,), which of them has how many rows and entries, `sizes` (m, 2); all int64.

    `rows` (R, 3) int32: class, x, y, as `tile_centroids` orders them; `pixels` (P, 2) int64: class, how many.
    """

    marks: np.ndarray
    sizes: np.ndarray
    rows: np.ndarray
    pixels: np.ndarray

    @classmethod
    def of(cls, marks: np.ndarray, labels: Iterable[tuple[np.ndarray, np.ndarray]]) -> Part:
        """Join (centroids (r, 3), pixels (K + 1,)) of each label."""
        rows, pixels = [np.zeros((0, 3), np.int32)], [np.zeros((0, 2), np.int64)]
        for of_label, counts in labels:
            there = np.flatnonzero(counts)
            rows.append(of_label.astype(np.int32))
            pixels.append(np.stack([there, counts[there]], axis=1))
        sizes = np.array([[len(one), len(other)] for one, other in zip(rows[1:], pixels[1:], strict=True)], np.int64)
        return cls(marks, sizes.reshape(-1, 2), np.concatenate(rows), np.concatenate(pixels))

    def only(self, wanted: np.ndarray) -> Part:
        """Keep the labels that are marked in `wanted` (m,) bool."""
        if wanted.all():
            return self
        rows, pixels = (np.repeat(wanted, self.sizes[:, column]) for column in (0, 1))
        return Part(self.marks[wanted], self.sizes[wanted], self.rows[rows], self.pixels[pixels])

    @property
    def is_whole(self) -> bool:
        """Whether the columns are what they should be, and fit to each other."""
        if [column.dtype for column in self] != [np.int64, np.int64, np.int32, np.int64]:
            return False
        shapes = self.marks.ndim == 1 and self.sizes.shape == (len(self.marks), 2)
        shapes &= self.rows.shape[1:] == (3,) and self.pixels.shape[1:] == (2,)
        whole = shapes and self.sizes.sum(0).tolist() == [len(self.rows), len(self.pixels)]
        return whole and bool((self.sizes >= 0).all())


class Store(NamedTuple):
    """The files of one description, `stem`, in a folder."""

    folder: Path
    stem: str

    def parts(self) -> Iterator[Part]:
        """Read the files one after another; one that is damaged is left out, and made anew when it is missed."""
        try:
            names = sorted(os.listdir(self.folder))
        except OSError:
            return
        for name in (name for name in names if name.startswith(f"{self.stem}_") and name.endswith(".npz")):
            try:
                found = arrayfile.columns(self.folder / name)
                part = Part(*(found[column] for column in Part._fields))
            except (OSError, ValueError, KeyError):
                continue
            if part.is_whole:
                yield part

    def save(self, part: Part) -> str:
        """Write a file in one step; a full or locked disk is only a line."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            name = f"{self.stem}_{of_names(part.marks.tolist())}.npz"
            with whole(self.folder / name, shared=True) as file:
                np.savez_compressed(file, **part._asdict())
            for left in (f"{self.stem}_*.part", f".{self.stem}_*"):  # halves, and marks of `place`
                remove_halves(self.folder, self.folder / name, left)
        except OSError as error:
            cure = "the next start makes them again; DATASET.CENTROID_ROOT names another folder"
            return f"warning: class centroids cannot be kept in {self.folder}: {reason(error)}; {cure}"
        return ""

    def place(self, ranks: DistributedContext) -> tuple[int, int]:
        """Tell which of how many this process is that see the same files here; every rank calls it.

        Each leaves an empty file for a moment: machines may have folders of their own under one name.
        """
        if ranks.world == 1:
            return 0, 1
        start = ranks.gather(secrets.token_hex(4))[0]
        names = [f".{self.stem}_{start}_{rank}" for rank in range(ranks.world)]
        own = self.folder / names[ranks.rank]
        try:
            with suppress(OSError):  # where it cannot write it makes all of them by itself
                self.folder.mkdir(parents=True, exist_ok=True)
                own.touch()
            ranks.barrier()
            seen = [rank for rank, name in enumerate(names) if os.path.exists(self.folder / name)]
            ranks.barrier()
        finally:  # another process may have died
            with suppress(OSError):
                own.unlink()
        return (seen.index(ranks.rank), len(seen)) if ranks.rank in seen else (0, 1)


def chunks(places: np.ndarray) -> list[np.ndarray]:
    """Cut places of labels (m,) into those of one file each."""
    return [places[start : start + _SHARED] for start in range(0, len(places), _SHARED)]


def joined(
    parts: Iterable[Part], marks: np.ndarray, indices: np.ndarray
) -> tuple[dict[int, np.ndarray], PixelCounts, np.ndarray]:
    """Find the labels `marks` (n,) of items `indices` (n,) in parts, of each the first one that there is.

    Gives {class: (M, 3) int32 rows (item, x, y), by item}, their pixels, and (n,) bool which of them were found.
    """
    order = np.argsort(marks, kind="stable")
    ordered, found = marks[order], np.zeros(len(marks), bool)
    rows: dict[int, list[np.ndarray]] = {}
    entries: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for part in parts:
        first, last = (np.searchsorted(ordered, part.marks, side) for side in ("left", "right"))
        label = np.repeat(np.arange(len(part.marks)), last - first)
        place = order[_ranges(first, last - first)]
        new = ~found[place]
        label, place = label[new], place[new]
        found[place] = True
        begin = np.cumsum(part.sizes, axis=0) - part.sizes
        (count, more), item = part.sizes[label].T, indices[place]
        own = part.rows[_ranges(begin[label, 0], count)]
        own = np.stack([own[:, 0], np.repeat(item, count).astype(np.int32), own[:, 1], own[:, 2]], axis=1)
        own = own[np.argsort(own[:, 0], kind="stable")]
        for c, of_class in zip(*_groups(own), strict=True):
            rows.setdefault(c, []).append(of_class[:, 1:].copy())
        pixels = part.pixels[_ranges(begin[label, 1], more)]
        entries.append(
            (np.repeat(item, more).astype(np.int32), pixels[:, 0].astype(np.uint16), pixels[:, 1].astype(np.uint32))
        )
    by_class = {c: _by_item(rows.pop(c)) for c in sorted(rows)}
    columns = [np.concatenate(column) for column in zip(*entries, strict=True)] or [np.zeros(0, np.int32)] * 3
    return by_class, PixelCounts(indices[found], *columns), found


def _ranges(first: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Put ranges behind each other: first, first + 1, ... of each, `count` many."""
    return np.repeat(first - np.cumsum(count) + count, count) + np.arange(count.sum())


def _groups(rows: np.ndarray) -> tuple[list[int], list[np.ndarray]]:
    """Part rows, ordered by their first column, by it."""
    values, starts = np.unique(rows[:, 0], return_index=True)
    return values.tolist(), np.split(rows, starts[1:]) if len(values) else []


def _by_item(parts: list[np.ndarray]) -> np.ndarray:
    """Join rows (item, x, y) in the order of the items."""
    rows = np.concatenate(parts)
    parts.clear()
    if (rows[1:, 0] >= rows[:-1, 0]).all():
        return rows
    return rows[np.argsort(rows[:, 0], kind="stable")]
