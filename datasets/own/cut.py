"""Cuts huge images into pieces, virtually: items that read their own rows of raw pixels, which are written once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from datasets.base import Item
from datasets.collecting import collected, tolerated
from datasets.itemreader import Tables
from datasets.own import cache
from datasets.rawpixels import Piece, write_image, write_values
from datasets.reading import read_label, read_rgb_encoded, size_of
from media.exif import SIDES_EXCHANGED
from media.reading import orientation_of
from utils.contracts import DatasetSpec
from utils.errors import UserError
from utils.plural import counted
from utils.progress import progress

_VERSION = 1
_SIZES = "sizes.json"


class Raw(NamedTuple):
    """A file of raw pixels to be written: of an image, or of a label (`spec`: its classes); `size` (H, W)."""

    target: Path
    path: str
    item: Item
    size: tuple[int, int]
    spec: DatasetSpec | None


def cut(items: Sequence[Item], side: int, spec: DatasetSpec, home: Path, name: str) -> tuple[list[Item], list[str]]:
    """Give items of pieces in place of those that are larger than `side`, and the line about it.

    Their pixels are written into files below `home` where they are not there, one image after another: memory is that
    of one decoded image. UserError where the disk has no room for them.
    """
    sizes = _sizes([item for item in items if item.piece is None], home)
    items = [item for item in items if item.piece is not None or (item.image, item.exif_turned) in sizes]
    huge = [item for item in items if item.piece is None and max(sizes[item.image, item.exif_turned]) > side]
    if not huge:
        return [*items], [f"{name}: no image is larger than {side} pixels, so none is cut"]
    raws = _raws(huge, spec, sizes, home)
    written = _write([raw for raw in raws.values() if not raw.target.is_file()], home)
    found: list[Item] = []
    for item in items:
        key = item.image, item.exif_turned
        if item.piece is not None or max(sizes[key]) <= side:
            found.append(item)
            continue
        image, label = raws[item.image, False].target, raws[item.label, True].target if item.label else None
        # Neither is missing but where faults are gathered.
        if label is not None and not label.is_file():
            item, label = item._replace(label=None), None
        if image.is_file():
            found += _pieces(item, side, str(image), str(label or ""), sizes[key])
    pieces = sum(item.piece is not None for item in found)
    size = sum(raw.target.stat().st_size for raw in raws.values() if raw.target.is_file()) / 1e9
    made = f" ({written} of {len(raws)} files now)" if written else ""
    return found, [
        f"{name}: {counted(len(huge), 'image')} of {len(items)} cut into {pieces} pieces of at most {side} x {side}, "
        f"read from {size:.3g} GB of raw pixels in {home / 'raw'}{made}"
    ]


def edges(length: int, side: int) -> list[int]:
    """Give the edges of the fewest pieces of at most `side` along `length`, of nearly equal lengths."""
    count = -(-length // side)
    return [i * length // count for i in range(count + 1)]


def _pieces(item: Item, side: int, image: str, label: str, size: tuple[int, int]) -> Iterable[Item]:
    """Give the pieces of an item, row by row; together they are the image, and no pixel is in two."""
    ys, xs = edges(size[0], side), edges(size[1], side)
    for top, bottom in zip(ys, ys[1:], strict=False):
        for left, right in zip(xs, xs[1:], strict=False):
            piece = Piece(image, label, (top, bottom), (left, right), size)
            yield item._replace(name=f"{item.name}__y{top:05d}_x{left:05d}", piece=piece, size=piece.size)


def _sizes(items: Sequence[Item], home: Path) -> dict[tuple[str, bool], tuple[int, int]]:
    """Read (H, W) of each image by its head, those that have not changed by the record of before."""
    known, found, fresh = cache.load(home / _SIZES), {}, {}
    for item in items:
        now = cache.stamp(item.image)
        stored = known.get(item.image, [None])
        if stored[0] != now or not now:
            stored = []
            with tolerated(item.image, item.image, "unreadable-image"):
                turned = orientation_of(item.image) in SIDES_EXCHANGED
                stored = fresh[item.image] = [now, *size_of(item.image), turned]
        if not stored:
            continue
        height, width = int(stored[1]), int(stored[2])
        exchanged = item.exif_turned and stored[3]
        found[item.image, item.exif_turned] = (width, height) if exchanged else (height, width)
    if fresh:
        cache.save(home / _SIZES, {**known, **fresh})
    return found


def _raws(
    huge: Sequence[Item], spec: DatasetSpec, sizes: Mapping[tuple[str, bool], tuple[int, int]], home: Path
) -> dict[tuple[str, bool], Raw]:
    """Name the raw files of images, and of labels (True), by the content of what they are made of."""
    files = [path for item in huge for path in (item.image, item.label) if path]
    sums = cache.checksums(files, home, skips_bad=collected() is not None)
    found = {}
    for item in huge:
        size, own = sizes[item.image, item.exif_turned], item.spec or spec
        key = cache.key_of([_VERSION, sums[item.image], item.exif_turned])[:16]
        found[item.image, False] = Raw(_target(home, item.image, key), item.image, item, size, None)
        if item.label:
            colors = sorted([*color, value] for color, value in own.color_to_id.items())
            key = cache.key_of([_VERSION, "label", sums[item.label], colors, own.ignores_rest and bool(colors)])[:16]
            found[item.label, True] = Raw(_target(home, item.label, key), item.label, item, size, own)
    return found


def _target(home: Path, path: str, key: str) -> Path:
    return home / "raw" / f"{Path(path).stem[:80]}-{key}.npy"


def _write(left: Sequence[Raw], home: Path) -> int:
    """Write raw files, one after another; gives how many. UserError where the disk has no room for all of them."""
    if not left:
        return 0
    needed = sum(raw.size[0] * raw.size[1] * (3 if raw.spec is None else 1) for raw in left)
    if (free := shutil.disk_usage(home).free) < needed:
        raise UserError(
            f"raw pixels of {counted(len(left), 'file')} that are cut need {needed / 1e9:.3g} GB in {home / 'raw'}, "
            f"{free / 1e9:.3g} GB are free: free some space, or leave cut out"
        )
    for raw in progress(left, "raw pixels", len(left), shown=needed > 1e8):
        absent = "missing-label" if not os.path.exists(raw.path) else "unreadable-label"
        with tolerated(raw.path, raw.item.image, "unreadable-image" if raw.spec is None else absent):
            _write_one(raw)
    return len(left)


def _write_one(raw: Raw) -> None:
    if raw.spec is None:
        write_image(raw.path, raw.target, raw.item.exif_turned)
        return
    colors = Tables.of(raw.spec).colors if raw.spec.color_to_id else None
    read = read_label(raw.path) if colors is None else read_rgb_encoded(raw.path, colors, raw.spec.name)
    write_values(read, raw.target)
