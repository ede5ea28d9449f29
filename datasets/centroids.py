"""Finds class centroids of image tiles, for crops that hold rare classes (Zhu et al. 2019, section 3.3).

They are kept on disk; `datasets.samplers` chooses the crops by them.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import numpy as np

from datasets.base import Item, SegmentationDataset
from datasets.centroidstore import Part, Store, chunks, joined
from datasets.pixelcounts import PixelCounts, class_pixels
from datasets.reading import label_lut
from utils.digest import mark
from utils.distributed import DistributedContext, together
from utils.progress import progress as shown

# Change when the algorithm or the file changes: files of another version are not found then.
_VERSION = 3
_BAND = 64  # rows: what is made of them stays in the cache


class CentroidTable(dict[int, np.ndarray]):
    """{class: (M, 3) int32 rows (item, x, y)}; `pixels` of the labels that they were made of; `note`: for the log."""

    pixels: PixelCounts
    note = ""  # how many are new, and why they could not be kept


def tile_centroids(label: np.ndarray, num_classes: int, tile: int, small_tile: bool = False) -> np.ndarray:
    """Make (M, 3) int64 rows (class, x, y) of a label (H, W) uint8: tiles in reading order, classes ascending in each.

    Only whole tiles from the top left count. A tile is at most as large as the short side; with `small_tile`, as
    published, an image smaller than a tile has no centroids. Values from `num_classes` on are left out.

    Works on runs of equal labels in rows, of which there are some fifty times fewer than pixels.
    """
    if not small_tile:
        tile = min(tile, *label.shape)
    down, across = label.shape[0] // tile, label.shape[1] // tile
    if not down or not across:
        return np.zeros((0, 3), np.int64)
    label = label[:, : across * tile]
    sums = np.zeros((down, 3, across, num_classes + 1))
    for row in range(down):
        for top in range(row * tile, (row + 1) * tile, _BAND):
            sums[row] += _band_sums(label[top : min(top + _BAND, (row + 1) * tile)], top, num_classes, tile)
    # (tile, class, sum), without the pixels of no class; all sums are integers below 2^53, and so exact in doubles.
    by_tile = sums.transpose(0, 2, 3, 1)[:, :, :-1].reshape(down * across, num_classes, 3).astype(np.int64)
    place, c = np.nonzero(by_tile[..., 0])
    count, sum_x, sum_y = by_tile[place, c].T
    return np.stack([c, sum_x // count, sum_y // count], axis=1)


def _band_sums(label: np.ndarray, top: int, num_classes: int, tile: int) -> np.ndarray:
    """Sum over rows (h, W) of one row of tiles, the first of them `top`: (3, tiles, K + 1) float64: pixels, x and y."""
    across = label.shape[1] // tile
    start, length = _runs(label, tile)
    y, x = np.divmod(start, np.int32(label.shape[1]))
    key = x // np.int32(tile) * np.int32(num_classes + 1) + np.minimum(label.reshape(-1)[start], num_classes)
    key, length = key.astype(np.intp), length.astype(np.float64)
    weights = (length, length * (x + (length - 1) / 2), length * (y + top))
    bins = across * (num_classes + 1)
    return np.stack([np.bincount(key, weight, bins) for weight in weights]).reshape(3, across, num_classes + 1)


def _runs(label: np.ndarray, tile: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the first pixel, in reading order, and the length of every run of equal labels within a tile's row."""
    first = np.empty(label.shape, bool)
    np.not_equal(label[:, 1:], label[:, :-1], out=first[:, 1:])
    first[:, ::tile] = True
    start = np.flatnonzero(first).astype(np.int32)
    return start, np.diff(start, append=np.int32(label.size))


def build(
    read: Callable[[int], np.ndarray | None],
    indices: Sequence[int],
    num_classes: int,
    tile: int,
    small_tile: bool = False,
    workers: int = 0,
) -> CentroidTable:
    """Make the centroids of the labels `read(item)`, items and tiles in order."""
    marks = np.arange(len(indices))
    return table([part(read, indices, marks, num_classes, tile, small_tile, workers)], marks, indices)[0]


def part(
    read: Callable[[int], np.ndarray | None],
    indices: Sequence[int],
    marks: np.ndarray,
    num_classes: int,
    tile: int,
    small_tile: bool = False,
    workers: int = 0,
) -> Part:
    """Make the centroids of the labels `read(item)`, whose content has the `marks`, (n,) int64."""

    def one(index: int) -> tuple[np.ndarray, np.ndarray]:
        label = read(index)
        if label is None:
            return np.zeros((0, 3), np.int64), np.zeros(num_classes + 1, np.int64)
        return tile_centroids(label, num_classes, tile, small_tile), class_pixels(label, num_classes)

    # Threads: decoding and the array operations release the interpreter lock, and nothing has to be copied.
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        return Part.of(marks, pool.map(one, indices))


def table(parts: Iterable[Part], marks: np.ndarray, indices: Sequence[int]) -> tuple[CentroidTable, np.ndarray]:
    """Give the centroids of the items `indices` whose labels have `marks`, (n,), and which of them were found."""
    rows, pixels, found = joined(parts, marks, np.asarray(indices, np.int64))
    made = CentroidTable(rows)
    made.pixels = pixels
    return made, found


def description(dataset: SegmentationDataset, tile: int, small_tile: bool) -> str:
    """Digest what all centroids depend on beside the labels' files: class map, cleaning rules, tile."""
    spec = dataset.spec
    head = [_VERSION, tile, small_tile, spec.num_classes, repr(dataset.filter_pseudo_labels)]
    tables = [label_lut(spec).tolist(), label_lut(spec, train_ids=True).tolist()]
    return hashlib.sha256(json.dumps([head, tables]).encode()).hexdigest()[:16]


def content_marks(dataset: SegmentationDataset, indices: Sequence[int], ranks: DistributedContext) -> np.ndarray:
    """Mark the content of labels, (n,) int64: their files (name, size, time) and what their values mean.

    Each rank asks the disk for its share of the files: a million questions take a network drive minutes.
    """
    first, last = (len(indices) * rank // ranks.world for rank in (ranks.rank, ranks.rank + 1))
    own = np.fromiter((_content(dataset.items[index]) for index in indices[first:last]), np.int64, last - first)
    return np.concatenate(ranks.gather(own))


def _content(item: Item) -> int:
    files = [_stamp(path) for path in (item.label, item.pseudo_label_confidence, item.coarse_label)]
    more = [item.piece.rows, item.piece.columns] if item.piece else []
    more += [sorted(item.spec.values().items()), repr(item.spec.color_to_id)] if item.spec else []
    return mark(repr((item.train_ids, item.pseudo_label, files, more)))


def _stamp(path: str | None) -> list[str | int] | None:
    if path is None:
        return None
    try:
        stat = os.stat(path)
    except OSError:
        return [path]  # reading it gives the error that names it
    return [path, stat.st_size, stat.st_mtime_ns]


def cached(
    dataset: SegmentationDataset,
    indices: Sequence[int],
    tile: int,
    folder: str,
    small_tile: bool = False,
    workers: int = 0,
    ranks: DistributedContext | None = None,
) -> CentroidTable:
    """Give the centroids of the items `indices`, from `folder`; those that are not there all ranks make together.

    A file that cannot be read is made anew, a folder that cannot be written to costs only the time of the next run.
    Every rank calls it. UserError, on all of them, for a label that is wrong.
    """
    ranks = ranks or DistributedContext()
    stem = f"{dataset.spec.name}_tile{tile}_{description(dataset, tile, small_tile)}"
    store, marks = Store(Path(folder), stem), content_marks(dataset, indices, ranks)
    settings = (dataset.spec.num_classes, tile, small_tile, workers)
    found, there = table(store.parts(), marks, indices)
    if not ranks.any(not there.all()):
        return found
    kept, notes, new = list[Part](), list[str](), np.flatnonzero(~there)
    if len(new) < len(there):
        notes.append(f"class centroids: {len(new)} of {len(there)} labels are new or have changed")
    rank, count = store.place(ranks)

    def make(places: np.ndarray) -> None:
        files = chunks(places)
        told = ranks.is_main and (len(files) > 1 or sys.stderr.isatty())  # one file takes seconds: no line in a log
        for some in shown(files, f"class centroids of {len(places)} labels, files", len(files), shown=told):
            items = [indices[place] for place in some]
            made = part(dataset.label_if_good, items, marks[some], *settings)
            made = made.only(np.array([str(dataset.items[item].label) not in dataset.bad_labels for item in items]))
            if note := store.save(made):
                kept.append(made)
                notes.insert(0, note)

    together(ranks, lambda: make(new[rank::count]))
    del found  # before the same rows lie in memory again
    found, there = table(chain(store.parts(), kept), marks, indices)
    together(ranks, lambda: make(np.flatnonzero(~there)))  # where others could not keep theirs
    if not there.all():
        found, _ = table(chain(store.parts(), kept), marks, indices)
    found.note = notes[0] if notes else ""
    return found
