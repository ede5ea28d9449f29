"""Keeps images and labels decoded in a folder (--cache_decoded), so that no epoch decodes them again.

A file is called by what it was made of: by the content of the image or label, and by what decides how that is read. So
a changed one is decoded anew, and every dataset can have the same folder. Each appears whole or not at all; who comes
while another process writes there waits for it.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from datasets.base import Item, SegmentationDataset
from datasets.itemtable import ItemTable
from datasets.kept import PACKED, RAW, Kept
from datasets.own import cache
from datasets.rawpixels import write_head
from datasets.reading import size_of
from media import reading
from utils.contracts import DatasetSpec
from utils.distributed import DistributedContext, on_each_machine
from utils.errors import MachineError, UserError
from utils.evenly import evenly
from utils.files import LOCK, cannot_write, locked, remove_halves, whole
from utils.plural import counted
from utils.progress import progress
from utils.visualize import encode_png
from utils.workers import in_threads

_VERSION = 1  # to be raised when keys or files change
_LEFT_FREE = 10**9  # bytes of the disk, for what a run writes
_TRIED = 8  # files that tell what PNG takes

T = TypeVar("T")


class Keys(NamedTuple):
    """What an item's decoded image and label are called by; empty for what it does not have, or what is not kept."""

    image: str
    label: str


class Job(NamedTuple):
    """A file that is not there yet: of the image or the label of item `index`; `size` in bytes, as raw pixels."""

    key: str
    index: int
    of_image: bool
    size: int


def keep(dataset: SegmentationDataset, folder: str, ranks: DistributedContext, workers: int = 0) -> SegmentationDataset:
    """Give the dataset with items that are read from `folder` (empty: itself), made there by one process a machine.

    What there is to say is said before they are made, and stands in its notes. UserError where the disk has no room.
    """
    if not folder:
        return dataset
    home = Path(folder)
    on_each_machine(ranks, lambda: _fill(dataset, home, workers or os.cpu_count() or 1))
    there = _there(home)
    items = ItemTable.of(item._replace(kept=_kept(keys, there, home)) for item, keys in _named(dataset, home))
    return replace(dataset, items=items, notes=(*dataset.notes, *_said(items, home)))


def _named(dataset: SegmentationDataset, home: Path) -> Iterator[tuple[Item, Keys]]:
    """Give each item and what it is called by."""
    files = [path for item in dataset.items if item.piece is None for path in _sources(item)]
    sums, meanings = cache.checksums(files, home, dataset.skips_bad), _Meanings(dataset)
    for item in dataset.items:
        # A piece is read from raw pixels anyway; what cannot be read is none to keep.
        if item.piece is not None or not all(sums[path] for path in _sources(item)):
            yield item, Keys("", "")
            continue
        image = cache.key_of([_VERSION, "image", sums[item.image], item.exif_turned, dataset.image_bits])
        label = cache.key_of([_VERSION, "label", meanings.of(item), *(sums[path] for path in _sources(item)[1:])])
        yield item, Keys(image, label if item.label else "")


def _sources(item: Item) -> list[str]:
    """List the files that an item is made of, its image first."""
    labels = (item.label, item.pseudo_label_confidence, item.coarse_label) if item.label else ()
    return [item.image, *(path for path in labels if path)]


class _Meanings:
    """What makes train ids of a label's values, as keys have it."""

    def __init__(self, dataset: SegmentationDataset) -> None:
        self._dataset = dataset
        self._known: dict[tuple[int, bool, bool], str] = {}

    def of(self, item: Item) -> str:
        """Digest what the label of an item depends on beside its files."""
        spec, cleaned = item.spec or self._dataset.spec, item.pseudo_label
        asked = (id(spec), bool(item.train_ids), cleaned)
        if asked not in self._known:
            cleaning = repr(self._dataset.filter_pseudo_labels) if cleaned else ""
            self._known[asked] = cache.key_of([_values(spec, bool(item.train_ids)), _values(spec, False), cleaning])
        return f"{self._known[asked]} {bool(item.pseudo_label_confidence)} {bool(item.coarse_label)}"


def _values(spec: DatasetSpec, train_ids: bool) -> list[object]:
    colors = sorted([*color, value] for color, value in spec.color_to_id.items())
    return [sorted(spec.values(train_ids).items()), colors, spec.ignores_rest, spec.ignore_label]


def _there(home: Path) -> dict[str, str]:
    """Find {key: name} of the files that are there."""
    with suppress(OSError):
        names = [entry.name for entry in os.scandir(home)]
        return {name.split(".")[0]: name for name in names if name.endswith((RAW, PACKED))}
    return {}


def _kept(keys: Keys, there: Mapping[str, str], home: Path) -> Kept | None:
    image, label = (there.get(key, "") for key in keys)
    paths = (str(home / name) if name else "" for name in (image, label))
    return Kept(*paths, turned=".turned." in image) if image or label else None


def _said(items: Sequence[Item], home: Path) -> list[str]:
    """Tell the log what is read from where."""
    kept = [item.kept for item in items if item.kept is not None]
    images, labels = sum(bool(one.image) for one in kept), sum(bool(one.label) for one in kept)
    packed = sum(file.endswith(PACKED) for one in kept for file in (one.image, one.label))
    form = {images + labels: "PNG files", 0: "raw pixels"}.get(packed, f"raw pixels, and {packed} PNG files")
    lines = [f"{counted(images, 'image')} and {counted(labels, 'label')} are read decoded from {home} ({form})"]
    if pieces := sum(item.piece is not None for item in items):
        lines.append(f"of cut images {counted(pieces, 'piece')} have their own raw pixels, and none in {home}")
    return lines


# Making them -------------------------------------------------------------------------------------------------------


def _fill(dataset: SegmentationDataset, home: Path, workers: int) -> None:
    """Make what is not there, one process at a time."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        with locked(home, f"--cache_decoded: another process writes to {home}; waiting for it"):
            _remove_stale(home)
            jobs = _jobs(dataset, home)
            if jobs:
                _make(dataset, home, jobs, workers)
    except OSError as error:
        raise cannot_write(home, error) from error


def _remove_stale(home: Path) -> None:
    """Remove the halves of files that a process left which was killed; the disk's own clock tells which these are."""
    clock = home / LOCK
    clock.touch()
    remove_halves(home, clock)


def _jobs(dataset: SegmentationDataset, home: Path) -> list[Job]:
    """List what is not there, each once."""
    there, jobs = _there(home), dict[str, Job]()
    for index, (item, keys) in enumerate(_named(dataset, home)):
        wanted = [key for key in keys if key and key not in there]
        if wanted:
            size = _if_good(dataset, partial(size_of, item.image))
            if size is None:
                continue
            height, width = size
            sizes = {keys.image: 3 * height * width, keys.label: height * width}
            jobs |= {key: Job(key, index, key == keys.image, sizes[key]) for key in wanted}
    return list(jobs.values())


def _make(dataset: SegmentationDataset, home: Path, jobs: list[Job], workers: int) -> None:
    """Say what is made, and make it in threads: the decoders that these have release the interpreter's lock."""
    form, jobs, size = _form(dataset, home, jobs)
    named = "raw pixels" if form == RAW else "PNG, since raw pixels do not fit"
    free = shutil.disk_usage(home).free
    what = f"{counted(len(jobs), 'decoded image or label', 'decoded images and labels')}"
    print(f"--cache_decoded {home}: {what}, {_gb(size)} of {_gb(free)} free, as {named}", file=sys.stderr, flush=True)
    done = in_threads(lambda job: _one(dataset, home, job, form), jobs, workers)
    for _ in progress(done, "decoded", len(jobs), shown=len(jobs) > 50):
        pass


def _form(dataset: SegmentationDataset, home: Path, jobs: list[Job]) -> tuple[str, list[Job], int]:
    """Choose by the disk's free space: the form, what is kept in it, and its bytes, of PNG by a few of the files.

    What is a PNG file of 8 bits already is not kept as another one. UserError where no form fits.
    """
    room = shutil.disk_usage(home).free - _LEFT_FREE
    raw = sum(job.size for job in jobs)
    if raw <= room:
        return RAW, jobs, raw
    jobs = [job for job in jobs if not (job.of_image and _is_plain_png(dataset.items[job.index]))]
    tried = [jobs[place] for place in evenly(len(jobs), _TRIED)] if jobs else []
    read = ((job.size, _if_good(dataset, partial(_read, dataset, job))) for job in tried)
    sizes = [(size, len(encode_png(found[0]))) for size, found in read if found is not None]
    share = sum(packed for _, packed in sizes) / max(1, sum(size for size, _ in sizes))
    packed = int(share * sum(job.size for job in jobs))
    if not jobs or packed > room:
        also = f", about {_gb(packed)} as PNG" if jobs else ""
        raise UserError(
            f"--cache_decoded {home}: decoded images and labels need {_gb(raw)}{also}, {_gb(max(0, room))} are free "
            f"beside {_gb(_LEFT_FREE)} for the run: free some space, name another disk, or leave it out"
        )
    return PACKED, jobs, packed


def _is_plain_png(item: Item) -> bool:
    return item.image.lower().endswith(".png") and not reading.deep([item.image])


def _read(dataset: SegmentationDataset, job: Job) -> tuple[np.ndarray, bool]:
    """Decode as training does: the pixels, and whether the image asks for a turn."""
    if job.of_image:
        return dataset.image(job.index)
    label = dataset.label(job.index)
    assert label is not None
    return label, False


def _if_good(dataset: SegmentationDataset, work: Callable[[], T]) -> T | None:
    """Give what `work` gives; None for a bad sample where the dataset leaves such out."""
    try:
        return work()
    except UserError as error:
        if not dataset.skips_bad or isinstance(error, MachineError):
            raise
        return None


def _one(dataset: SegmentationDataset, home: Path, job: Job, form: str) -> None:
    """Decode and write one file; a bad sample is not kept where such are left out: who draws it is told."""
    found = _if_good(dataset, lambda: _read(dataset, job))
    if found is None:
        return
    values, turned = found
    target = home / f"{job.key}{'.turned' if turned else ''}{form}"
    try:
        with whole(target, durable=True, shared=True) as stream:
            if form == RAW:
                write_head(stream, values.dtype, values.shape)
            stream.write(np.ascontiguousarray(values).data if form == RAW else encode_png(values))
    except OSError as error:
        raise cannot_write(target, error) from error


def _gb(size: float) -> str:
    return f"{size / 1e9:.3g} GB"
