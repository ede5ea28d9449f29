"""Finds class centroids of image tiles, for crops that hold rare classes (Zhu et al. 2019, section 3.3).

They are kept on disk; `datasets.samplers` chooses the crops by them.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from datasets.audit import class_pixels
from datasets.base import SegmentationDataset
from datasets.reading import label_lut
from utils.distributed import DistributedContext, from_main
from utils.files import reason, whole

# Change when the algorithm or the file changes: files of another version are not found then.
_VERSION = 2
_BAND = 64  # rows: what is made of them stays in the cache


class CentroidTable(dict[int, np.ndarray]):
    """{class: (M, 3) int64 rows (item, x, y)}; `pixels` (n, K + 1) int64 of the labels that they were made of: those of
    each class, and the ignored; `note`: for the log."""

    pixels: np.ndarray
    note = ""  # why they could not be kept

    @classmethod
    def of(cls, rows: np.ndarray, pixels: np.ndarray) -> CentroidTable:
        """Sort (M, 4) rows (class, item, x, y) by class."""
        made = cls({int(c): rows[rows[:, 0] == c, 1:] for c in np.unique(rows[:, 0])})
        made.pixels = pixels
        return made


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
    progress: bool = False,
) -> CentroidTable:
    """Make the centroids of the labels `read(item)`, items and tiles in order."""

    def one(index: int) -> tuple[np.ndarray, np.ndarray]:
        label = read(index)
        if label is None:
            return np.zeros((0, 4), np.int64), np.zeros(num_classes + 1, np.int64)
        rows = tile_centroids(label, num_classes, tile, small_tile)
        return np.insert(rows, 1, index, axis=1), class_pixels(label, num_classes)  # (class, item, x, y)

    # Threads: decoding and the array operations release the interpreter lock, and nothing has to be copied.
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        quiet = not (progress and sys.stderr.isatty())
        parts = list(tqdm(pool.map(one, indices), "class centroids", len(indices), disable=quiet, leave=False))
    rows = np.concatenate([rows for rows, _ in parts]) if parts else np.zeros((0, 4), np.int64)
    return CentroidTable.of(rows, np.array([pixels for _, pixels in parts], np.int64).reshape(-1, num_classes + 1))


def content_key(dataset: SegmentationDataset, indices: Sequence[int], tile: int, small_tile: bool) -> str:
    """Digest all that the centroids depend on: files (name, size, time), class map, cleaning rules, tile."""
    spec = dataset.spec
    head = [_VERSION, tile, small_tile, spec.num_classes, repr(dataset.filter_pseudo_labels)]
    tables = [label_lut(spec).tolist(), label_lut(spec, train_ids=True).tolist()]
    digest = hashlib.sha256(json.dumps([head, tables]).encode())
    for index in indices:
        item = dataset.items[index]
        files = [_stamp(path) for path in (item.label, item.pseudo_label_confidence, item.coarse_label)]
        more = [item.piece.rows, item.piece.columns] if item.piece else []
        more += [sorted(item.spec.values().items()), repr(item.spec.color_to_id)] if item.spec else []
        digest.update(json.dumps([index, item.train_ids, files, *more]).encode())
    return digest.hexdigest()


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
    """Give the centroids of the items `indices`, from `folder` or newly made; the main process makes them.

    A file that cannot be read is made anew, a folder that cannot be written to costs only the time of the next run.
    """
    ranks = ranks or DistributedContext()
    key = content_key(dataset, indices, tile, small_tile)
    path = Path(folder) / f"{dataset.spec.name}_tile{tile}_{key[:16]}.npz"

    def load_or_build() -> CentroidTable:
        centroids = load(path, key)
        if centroids is None:
            classes = dataset.spec.num_classes
            centroids = build(dataset.label, indices, classes, tile, small_tile, workers, ranks.is_main)
            centroids.note = save(path, key, centroids)
        return centroids

    kept: list[CentroidTable] = []
    from_main(ranks, lambda: kept.append(load_or_build()))
    return kept[0] if kept else load_or_build()  # builds only where the folder is not shared with the main process


def load(path: Path, key: str) -> CentroidTable | None:
    """Read the centroids of a cache file; None if it is absent, broken or made of other content."""
    try:
        with np.load(path, allow_pickle=False) as file:
            if str(file["key"]) != key:
                return None
            rows, pixels = file["rows"].astype(np.int64), file["pixels"].astype(np.int64)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return CentroidTable.of(rows, pixels) if rows.ndim == pixels.ndim == 2 and rows.shape[1] == 4 else None


def save(path: Path, key: str, centroids: CentroidTable) -> str:
    """Write a cache file in one step, so that no reader ever sees half of it; a full or locked disk is only a line."""
    rows = [np.insert(part, 0, c, axis=1) for c, part in sorted(centroids.items())]
    table = np.concatenate(rows) if rows else np.zeros((0, 4), np.int64)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path, shared=True) as file:
            np.savez_compressed(file, key=np.array(key), rows=table.astype(np.int32), pixels=centroids.pixels)
    except OSError as error:
        cure = "the next start makes them again; DATASET.CENTROID_ROOT names another folder"
        return f"warning: class centroids cannot be kept in {path.parent}: {reason(error)}; {cure}"
    return ""
