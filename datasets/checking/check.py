"""The whole check: reads all items in parallel, sums up what they hold, and tells what is wrong with them together."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from datasets.base import Item
from datasets.checking import duplicates, fit, names, palettes
from datasets.checking.faults import Fault, Faults
from datasets.checking.look import DEEP, GRAY, Colors, Read, Reader, Subject, subjects
from datasets.checking.tally import Tally
from utils.contracts import DatasetSpec
from utils.plural import counted
from utils.progress import progress
from utils.workers import in_threads

TINY, HUGE = 1 / 16, 16  # of the usual number of pixels
LEAST_SIDE = 32  # pixels below which an image is small whatever the others are
SEVERAL = 0.95  # of a split alone images have to be this much alike to be told: those of a slow drive are nearly so
_FEW = 0.5  # share of a split up to which a trait is that of a minority
_IGNORED = 0.5  # share of ignored pixels above which it is said
_FITS, _UNFIT = 0.15, (0.25, 0.05)  # fit of labels usually, and what is far below it: of that, and by itself
_THE_SAME = ("is the same file as", "has the pixels of")  # a piece's file is not compared
# Traits in which images of a split should agree: (bit, kind where few have it, kind where few do not).
_TRAITS = ((DEEP, "deep-image", "shallow-image"), (GRAY, "gray-image", "color-image"))


@dataclass
class Values:
    """A value of labels that is no class: in how many of them, and in how many pixels."""

    files: int = 0
    pixels: int = 0


@dataclass
class Checked:
    """What the check has found: the faults, and of each split what it holds."""

    spec: DatasetSpec
    faults: Faults
    tallies: dict[str, Tally]
    values: dict[str, Values] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass
class _Rows:
    """What is kept of each image: some ten numbers, and a small picture."""

    count: int

    def __post_init__(self) -> None:
        n = self.count
        self.sizes, self.traits = np.zeros((n, 2), np.int32), np.zeros(n, np.uint8)
        self.hashes, self.digests = np.zeros((n, 2), np.uint64), np.zeros(n, "S8")
        self.seen, self.detailed, self.blank = np.zeros(n, bool), np.zeros(n, bool), np.zeros(n, bool)
        self.labels, self.fits = np.zeros(n, "S8"), np.full(n, np.nan, np.float32)
        self.misplaced = np.zeros(n, bool)
        self.small = duplicates.pictures(n)
        self.colors: dict[int, Colors] = {}

    def take(self, place: int, read: Read) -> None:
        """Keep what reading an image told."""
        self.labels[place], self.fits[place] = read.label_digest, read.fit.here
        self.misplaced[place] = bool(read.fit.what)
        if read.colors:
            self.colors[place] = read.colors
        if (image := read.image) is None:
            return
        self.seen[place], self.blank[place], self.detailed[place] = True, image.blank, image.small.detailed
        self.sizes[place], self.traits[place] = image.size, image.traits
        self.hashes[place], self.digests[place] = image.small.hashes, image.digest
        self.small[place] = image.small.picture


def check(reader: Reader, splits: dict[str, list[Item]], faults: Faults, workers: int, shown: bool = True) -> Checked:
    """Check the items of splits by name, "train" before "val"; `shown`: with progress."""
    found = Checked(reader.spec, faults, {name: Tally(reader.spec.num_classes) for name in splits})
    every = list(subjects(splits))
    rows, surfaces = _Rows(len(every)), {name: _Surface() for name in splits}
    for name, items in splits.items():
        found.tallies[name].listed = len(items)
    reads = in_threads(reader.read, every, workers)
    for place, read in enumerate(progress(reads, "images read", len(every), shown=shown)):
        faults.add(*read.faults)
        rows.take(place, read)
        _count(found, read)
        for name in read.subject.splits:
            surfaces[name].add(read.fit)
    pairs = _pairs(every, rows, found.notes)
    if cut := len({subject.item.image for subject in every if subject.item.piece is not None}):
        found.notes.append(
            f"{counted(cut, 'image')} cut into pieces: labels of one class, repeated and misplaced ones, and how files "
            "are stored, are looked for in whole images only"
        )
    for part in (
        names.faults(every),
        palettes.faults(every, rows.colors),
        _together(every, rows),
        _of_splits(found, surfaces),
    ):
        faults.add(*part)
    faults.add(*_alike(every, rows, pairs))
    faults.add(*_repeated(every, rows, pairs))
    return found


def _count(found: Checked, read: Read) -> None:
    """Sum up what an image and its label hold."""
    for name in read.subject.splits:
        if read.image is not None:
            found.tallies[name].add_image(read.image.size, read.image.light)
        if read.label is not None:
            found.tallies[name].add_label(read.label)
    for value, pixels in (read.values or {}).items():
        if value in found.values or len(found.values) < 1000:
            one = found.values.setdefault(value, Values())
            one.files, one.pixels = one.files + 1, one.pixels + pixels


class _Surface:
    """The mean of how labels fit at all shifts."""

    def __init__(self) -> None:
        self.sum, self.count = np.zeros((2 * fit.REACH + 1, 2 * fit.REACH + 1)), 0

    def add(self, one: fit.Fit) -> None:
        """Take a label's."""
        if one.surface is not None:
            self.sum, self.count = self.sum + one.surface, self.count + 1


def _together(every: Sequence[Subject], rows: _Rows) -> Iterator[Fault]:
    """Tell what only the others show: odd sizes and traits, labels that fit much worse, labels used twice."""
    if not rows.seen.any():
        return
    pixels = rows.sizes.astype(np.int64).prod(1)
    usual = float(np.median(pixels[rows.seen]))
    for place in np.flatnonzero(rows.seen).tolist():
        item, (height, width) = every[place].item, rows.sizes[place].tolist()
        small = pixels[place] < TINY * usual or min(height, width) < LEAST_SIDE
        if small or pixels[place] > HUGE * usual:
            what = f"is {width}x{height}; half of all have {round(usual):,} pixels or more"
            yield Fault("tiny-image" if small else "huge-image", every[place].where, item.image, what, item)
    yield from _minorities(every, rows)
    yield from _unfit(every, rows)


def _repeated(every: Sequence[Subject], rows: _Rows, pairs: Sequence[duplicates.Pair]) -> Iterator[Fault]:
    """Tell of labels with the same content whose images are not alike."""
    alike = {(pair.first, pair.second) for pair in pairs}
    first: dict[bytes, int] = {}
    for place in np.flatnonzero(_repeats(rows.labels)).tolist():
        one = first.setdefault(bytes(rows.labels[place]), place)
        item, other = every[place].item, every[one].item
        if one != place and (one, place) not in alike and item.image != other.image:
            same = item.label == other.label  # drawings of equal content are one file: their images tell more
            file = item.image if same else str(item.label)
            what = f"has the same label as {other.image}" if same else f"is the same as {other.label}"
            yield Fault("repeated-label", every[place].where, file, what, item, other)


def _repeats(digests: np.ndarray) -> np.ndarray:
    """Say which digests (n,) occur more than once; the empty one does not count."""
    values, back, counts = np.unique(digests, return_inverse=True, return_counts=True)
    return (counts[back] > 1) & (values[back] != b"")


def _minorities(every: Sequence[Subject], rows: _Rows) -> Iterator[Fault]:
    """Tell of images that are stored otherwise than most of all."""
    total = int(rows.seen.sum())
    for bit, having, lacking in _TRAITS:
        has = (rows.traits & bit > 0) & rows.seen
        few, kind = (has, having) if has.sum() <= _FEW * total else (rows.seen & ~has, lacking)
        few &= ~rows.blank  # which has no color, and is told by itself
        for place in np.flatnonzero(few).tolist():
            item = every[place].item
            yield Fault(kind, every[place].where, item.image, f"unlike {total - int(few.sum())} others", item)


def _unfit(every: Sequence[Subject], rows: _Rows) -> Iterator[Fault]:
    """Tell of labels whose borders lie over no edges although those of the others do."""
    known = np.isfinite(rows.fits)
    usual = float(np.median(rows.fits[known])) if known.any() else math.nan
    if not usual > _FITS:
        return
    for place in np.flatnonzero(known & ~rows.misplaced & (rows.fits < min(_UNFIT[0] * usual, _UNFIT[1]))).tolist():
        subject = every[place]
        what = "its borders follow no edges of the image: is it another image's?"
        yield Fault("misplaced-label", subject.where, str(subject.item.label), what, subject.item)


def _of_splits(found: Checked, surfaces: dict[str, _Surface]) -> Iterator[Fault]:
    """Tell what is wrong with whole splits."""
    for name, tally in found.tallies.items():
        if not tally.labels:
            continue
        if not tally.pixels[:-1].any():
            yield Fault("nothing-to-learn", name, "", f"all pixels of {counted(tally.labels, 'label')} are ignored")
            continue
        for k in tally.absent:
            spec = found.spec
            value = spec.train_to_id[k] if spec.train_to_id else k
            yield Fault("class-absent", name, "", f"no label of {tally.labels} has {spec.classes[k]} (id {value})")
        if tally.ignored > _IGNORED:
            yield Fault("mostly-ignored", name, "", f"{100 * tally.ignored:.1f} % of its pixels are ignored")
        if surfaces[name].count >= 5:
            (height, width), _ = max(tally.sizes.items(), key=lambda one: one[1])
            pixel = max(1.0, max(height, width) / fit.SIDE)
            if what := fit.of_all(surfaces[name].sum / surfaces[name].count, pixel):
                yield Fault("misplaced-label", name, "", what)


def _pairs(every: Sequence[Subject], rows: _Rows, notes: list[str]) -> list[duplicates.Pair]:
    """Find pairs of images that are alike, byte for byte or nearly, the second of them in order."""
    order: dict[str, int] = {}
    split = np.array([order.setdefault(subject.splits[0], len(order)) for subject in every])
    pairs, complete = duplicates.pairs(rows.hashes, rows.small, rows.detailed & ~rows.blank, split)
    if not complete:
        notes.append("so many images look alike that not all pairs of them were compared")
    near = {(pair.second, int(split[pair.first])) for pair in pairs}
    pairs += [pair for pair in _same_files(rows, split) if (pair.second, int(split[pair.first])) not in near]
    return sorted(_of_images(every, rows, pairs), key=lambda pair: pair.second)


def _of_images(every: Sequence[Subject], rows: _Rows, pairs: Sequence[duplicates.Pair]) -> Iterator[duplicates.Pair]:
    """Give one pair for two images in pieces, where most of one's are alike those of the other in the same place."""
    pieces = Counter(every[place].item.image for place in np.flatnonzero(rows.seen & ~rows.blank).tolist())
    alike: dict[tuple[str, str], list[duplicates.Pair]] = {}
    for pair in pairs:
        one, two = every[pair.first].item, every[pair.second].item
        if one.piece is None and two.piece is None:
            yield pair
        elif one.piece is not None and two.piece is not None and one.piece[2:] == two.piece[2:]:
            alike.setdefault((one.image, two.image), []).append(pair)
    for (_, image), found in alike.items():
        if 2 * len(found) > pieces[image]:
            yield min(found, key=lambda pair: pair.alike)


def _alike(every: Sequence[Subject], rows: _Rows, pairs: Sequence[duplicates.Pair]) -> Iterator[Fault]:
    """Tell of images that are in two splits, or nearly, and of those that a split has several times."""
    splits: dict[str, dict[str, None]] = {}
    for subject in every:
        splits.setdefault(subject.item.image, {}).update(dict.fromkeys(subject.splits))
    both = [subject for subject in every if len(splits[subject.item.image]) > 1]
    if len(both) > 1 and len(both) == len(every):  # a folder without splits, or a list given twice
        where = " and ".join(splits[both[0].item.image])
        yield Fault("leak", where, "", f"all {len(both)} images are listed in both", both[0].item)
        both = []
    for subject in every:
        if subject.times > 1:
            what = f"is listed {subject.times} times, and counts as often in training and scores"
            yield Fault("duplicate", subject.where, subject.item.image, what, subject.item)
    for item in {subject.item.image: subject.item for subject in both}.values():
        yield Fault("leak", " and ".join(splits[item.image]), item.image, "is listed in both", item)
    for pair in pairs:
        first, second = every[pair.first], every[pair.second]
        if first.item.image == second.item.image or (len(first.splits) > 1 and len(second.splits) > 1):
            continue
        same = rows.digests[pair.first] == rows.digests[pair.second]
        much = f"is {'mirrored ' * pair.mirrored}{100 * pair.alike:.1f} % like"
        what = f"{_THE_SAME[second.item.piece is not None] if same else much} {first.item.image}"
        kind = "duplicate" if {*first.splits} & {*second.splits} else "leak"
        if kind == "duplicate" and pair.alike < SEVERAL:
            continue
        yield Fault(kind, second.where, second.item.image, what, second.item, first.item)


def _same_files(rows: _Rows, split: np.ndarray) -> Iterator[duplicates.Pair]:
    """Find images that are byte for byte an earlier one of a split, also those without any details."""
    first: dict[tuple[bytes, int], int] = {}
    for place in np.flatnonzero(_repeats(rows.digests) & ~rows.blank).tolist():
        digest = bytes(rows.digests[place])
        for other in range(int(split.max()) + 1):
            if (digest, other) in first:
                yield duplicates.Pair(first[digest, other], place, 1.0)
        first.setdefault((digest, int(split[place])), place)
