"""Which crops make an epoch, and which process reads which. (seed, epoch) alone decides, for any number of ranks."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import overload

import numpy as np
from torch.utils.data import Sampler

from utils.contracts import CropRequest
from utils.errors import UserError

# Rows of (item, x, y) for each class.
Centroids = Mapping[int, np.ndarray]


@dataclass(frozen=True, eq=False)
class Crops(Sequence[CropRequest]):
    """Crops of an epoch as columns, since there may be millions: `item` (n,), `center` (n, 2) x and y, negative: none,
    and the `seed` (n,) of each. Parts of it are lists of what a dataset takes.
    """

    item: np.ndarray
    center: np.ndarray
    seed: np.ndarray

    @classmethod
    def of(cls, items: Sequence[int] | np.ndarray, center: np.ndarray | None = None) -> Crops:
        """Make crops of items, by default without a center; seeds are drawn later."""
        there = np.full((len(items), 2), -1, np.int32) if center is None else center.astype(np.int32)
        return cls(np.asarray(items, np.int64), there, np.zeros(len(items), np.int64))

    @classmethod
    def joined(cls, parts: Sequence[Crops]) -> Crops:
        """Put crops behind each other."""
        columns = zip(*((part.item, part.center, part.seed) for part in parts), strict=True)
        return cls(*map(np.concatenate, columns))

    def __len__(self) -> int:
        return len(self.item)

    @overload
    def __getitem__(self, index: int) -> CropRequest: ...

    @overload
    def __getitem__(self, index: slice) -> list[CropRequest]: ...

    def __getitem__(self, index: int | slice) -> CropRequest | list[CropRequest]:
        if isinstance(index, slice):
            rows = zip(*(column[index].tolist() for column in (self.item, self.center, self.seed)), strict=True)
            return [CropRequest(item, (x, y) if x >= 0 else None, seed) for item, (x, y), seed in rows]
        place = range(len(self))[index]
        return self[place : place + 1][0]


def draw_epoch(
    images: Sequence[int], centroids: Centroids, num_classes: int, share: float, rng: random.Random
) -> Crops:
    """Draw one epoch's crops: first random items, then each class's (Zhu et al. 2019, section 3.3).

    With N images, every class gets floor(N * share / num_classes) crops round its centroids; a class without
    centroids gets none and nothing takes its place. The remaining N - per_class * num_classes items are drawn
    from the images, without a center. Within a group nothing repeats before everything has been used. Share 0
    gives the images in their own order.
    """
    if share <= 0:
        return Crops.of(images)
    per_class = crops_per_class(len(images), share, num_classes)
    anywhere = _cycled(len(images), len(images) - per_class * num_classes, rng)
    crops = [Crops.of(np.asarray(images, np.int64)[anywhere])]
    for c in range(num_classes):
        rows = centroids.get(c)
        if rows is None or not len(rows):
            continue
        drawn = rows[_cycled(len(rows), per_class, rng)]
        crops.append(Crops.of(drawn[:, 0], drawn[:, 1:]))
    return Crops.joined(crops)


def crops_per_class(count: int, share: float, num_classes: int) -> int:
    """Count crops of each class in an epoch of `count` images: rounded down, as published, so it may be none."""
    return int(count * share / num_classes)


def _cycled(length: int, count: int, rng: random.Random) -> np.ndarray:
    """Draw `count` of range(length) in random order, each used once before any is used again."""
    rounds = [np.array(rng.sample(range(length), length), np.int64) for _ in range(-(-count // length) if count else 0)]
    return np.concatenate([*rounds, np.zeros(0, np.int64)])[:count]


class EpochSampler(Sampler[list[CropRequest]]):
    """Batches of training, epoch by epoch: its length is the steps of a whole epoch, the same on every process."""

    epoch = 0
    start = 0

    def set_epoch(self, epoch: int, start: int = 0) -> None:
        """Choose the epoch, and leave out its first `start` batches (to continue in the middle of it)."""
        self.epoch, self.start = epoch, start

    @property
    def note(self) -> str:
        """What a reader of the log should know of the settings; empty if nothing."""
        return ""

    def __len__(self) -> int:
        raise NotImplementedError


@dataclass
class ClassUniformSampler(EpochSampler):
    """Batches of one process: lists of `batch_size` requests.

    An epoch is drawn and shuffled for all processes together and cut to whole global batches; process r of n takes
    every n-th item from r on, so that step t of all processes together is the same set for any n with the same
    global batch. Besides come `multiple` times as many of `coarse`, whole, none twice before all have been used:
    floor(images * (1 + multiple)) in all. `late_centroids` replaces `centroids` from epoch `late_from` on.
    `most_steps`: an epoch ends after so many; 0: when it is through.
    """

    images: Sequence[int]
    centroids: Centroids
    num_classes: int
    share: float
    batch_size: int
    rank: int = 0
    world: int = 1
    seed: int = 0
    late_centroids: Centroids | None = None
    late_from: int = 0
    most_steps: int = 0
    coarse: Sequence[int] = ()
    multiple: float = 0.0
    _drawn: tuple[int, Crops] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if not len(self):
            raise UserError(
                f"{len(self.images)} training images{self._lost()} do not fill one batch of "
                f"{self.batch_size * self.world} ({self.batch_size} on each of {self.world} processes): lower --bs_trn"
            )

    def _lost(self) -> str:
        """Say how many crops an epoch lacks, since classes without a pixel have none."""
        lost = crops_per_class(len(self.images), max(0, self.share), self.num_classes) * sum(
            not len(self.centroids.get(c, ())) for c in range(self.num_classes)
        )
        if not lost:
            return ""
        left = len(self.images) - lost
        return f", of which --class_uniform_pct {self.share} leaves {left} (no pixel of some classes), "

    @property
    def note(self) -> str:
        """Why no crop is drawn class-uniformly."""
        if self.share <= 0 or crops_per_class(len(self.images), self.share, self.num_classes):
            return ""
        text = f"{len(self.images)} images at --class_uniform_pct {self.share} make less than one crop a class"
        unused = ", so no coarse image and no adjacent frame is drawn" if self.late_centroids is not None else ""
        return f"{text}: nothing is drawn class-uniformly{unused}"

    def draws(self) -> Crops:
        """Draw the whole epoch for all processes, in order, whole global batches only."""
        if self._drawn is None or self._drawn[0] != self.epoch:
            rng = random.Random(f"{self.seed}-{self.epoch}")
            late = self.late_centroids if self.epoch >= self.late_from else None
            crops = draw_epoch(self.images, self.centroids if late is None else late, self.num_classes, self.share, rng)
            more = int(len(self.images) * (1 + self.multiple)) - len(self.images) if self.coarse else 0
            coarse = np.asarray(self.coarse, np.int64)[_cycled(len(self.coarse), more, rng)]
            crops = Crops.joined([crops, Crops.of(coarse)])
            order = list(range(len(crops)))
            rng.shuffle(order)
            whole = self.batch_size * self.world
            steps = len(order) // whole
            steps = min(steps, self.most_steps) if self.most_steps else steps
            kept = order[: steps * whole]
            seeds = np.fromiter((rng.getrandbits(63) for _ in kept), np.int64, len(kept))
            self._drawn = (self.epoch, Crops(crops.item[kept], crops.center[kept], seeds))
        return self._drawn[1]

    def __len__(self) -> int:
        """Steps of the whole epoch, the same on every process."""
        return len(self.draws()) // (self.batch_size * self.world)

    def __iter__(self) -> Iterator[list[CropRequest]]:
        draws, whole = self.draws(), self.batch_size * self.world
        for step in range(self.start, len(self)):
            yield draws[step * whole + self.rank : (step + 1) * whole : self.world]


@dataclass
class IterationBasedSampler(EpochSampler):
    """The epochs of `sampler` one after another, cut into rounds of `steps` batches; `max_iters` batches in all.

    A round stands in for an epoch of the run, so that it can be entered in the middle like one.
    """

    sampler: EpochSampler
    steps: int
    max_iters: int

    @property
    def note(self) -> str:
        """What `sampler` has to say of the settings."""
        return self.sampler.note

    def __len__(self) -> int:
        """Batches of the round: `steps`, fewer in the last."""
        return max(0, min(self.steps, self.max_iters - self.epoch * self.steps))

    def __iter__(self) -> Iterator[list[CropRequest]]:
        skip, left = self.epoch * self.steps + self.start, len(self) - self.start
        for epoch in itertools.count():
            if left <= 0:
                return
            self.sampler.set_epoch(epoch, skip)
            skip = max(0, skip - len(self.sampler))  # where coarse images end, their number may change
            for batch in itertools.islice(self.sampler, left):
                left -= 1
                yield batch


class ExactSampler(Sampler[int]):
    """Every index once over all processes, without padding: process r of n reads r, r + n, r + 2n, ..."""

    def __init__(self, length: int, rank: int = 0, world: int = 1) -> None:
        self.indices = range(length)[rank::world]

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices)


def balanced_share(presence: np.ndarray, fraction: float, seed: int) -> list[int]:
    """Choose indices of a share of the images that keeps about this share of each class's images.

    `presence` (N, K) bool: class occurs in image. Greedy: the next image is the one that best fills what classes
    lack, a lack being relative to the class's own number of images, so that rare classes count as much as common ones;
    ties fall by the seed. The result is sorted and depends on nothing else.
    """
    count = max(1, round(len(presence) * fraction))
    order = np.array(random.Random(f"share-{seed}").sample(range(len(presence)), len(presence)))
    has = presence[order].astype(np.float64)  # (N, K)
    total = has.sum(0)
    weight = 1.0 / np.maximum(total, 1.0)
    lack = fraction * total
    free = np.ones(len(has), bool)
    for _ in range(count):
        score = np.where(free, has @ (lack * weight), -np.inf)
        best = int(score.argmax())
        free[best] = False
        lack -= has[best]
    return sorted(int(i) for i in order[~free])


def presence_of(centroids: Centroids, images: int, num_classes: int) -> np.ndarray:
    """Mark (images, K) bool: classes that have a centroid in an image."""
    presence = np.zeros((images, num_classes), bool)
    for c, rows in centroids.items():
        presence[rows[:, 0], c] = True
    return presence


def keep_items(centroids: Centroids, kept: Sequence[int]) -> dict[int, np.ndarray]:
    """Keep only the centroids that lie in the items `kept`."""
    wanted = np.asarray(kept, np.int64)
    return {c: rows[np.isin(rows[:, 0], wanted)] for c, rows in centroids.items()}


def merge(first: Centroids, second: Centroids, classes: Sequence[int]) -> dict[int, np.ndarray]:
    """Give `first`, with the centroids of `second` appended for `classes`."""
    merged = dict(first)
    for c in classes:
        if c in second:
            merged[c] = np.concatenate([merged[c], second[c]]) if c in merged else second[c]
    return merged
