"""Which crops make an epoch, and which process reads which. (seed, epoch) alone decides, for any number of ranks."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch.utils.data import Sampler

from utils.contracts import CropRequest
from utils.errors import UserError

ItemAndCenter = tuple[int, tuple[int, int] | None]
# Rows of (item, x, y) for each class.
Centroids = Mapping[int, np.ndarray]


def draw_epoch(
    images: Sequence[int], centroids: Centroids, num_classes: int, share: float, rng: random.Random
) -> list[ItemAndCenter]:
    """Draw one epoch's (item, crop_center) pairs: first random items, then each class's (Zhu et al. 2019, section 3.3).

    With N images, every class gets floor(N * share / num_classes) crops round its centroids; a class without
    centroids gets none and nothing takes its place. The remaining N - per_class * num_classes items are drawn
    from the images, without a center. Within a group nothing repeats before everything has been used. Share 0
    gives the images in their own order.
    """
    if share <= 0:
        return [(index, None) for index in images]
    per_class = crops_per_class(len(images), share, num_classes)
    anywhere = _cycled(len(images), len(images) - per_class * num_classes, rng)
    crops: list[ItemAndCenter] = [(images[i], None) for i in anywhere]
    for c in range(num_classes):
        rows = centroids.get(c)
        if rows is None or not len(rows):
            continue
        for row in _cycled(len(rows), per_class, rng):
            index, x, y = (int(value) for value in rows[row])
            crops.append((index, (x, y)))
    return crops


def crops_per_class(count: int, share: float, num_classes: int) -> int:
    """Count crops of each class in an epoch of `count` images: rounded down, as published, so it may be none."""
    return int(count * share / num_classes)


def _cycled(length: int, count: int, rng: random.Random) -> list[int]:
    """Draw `count` of range(length) in random order, each used once before any is used again."""
    order: list[int] = []
    while len(order) < count:
        order += rng.sample(range(length), length)
    return order[:count]


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
    _drawn: tuple[int, list[CropRequest]] | None = field(default=None, init=False, repr=False)

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

    def draws(self) -> list[CropRequest]:
        """Draw the whole epoch for all processes, in order, whole global batches only."""
        if self._drawn is None or self._drawn[0] != self.epoch:
            rng = random.Random(f"{self.seed}-{self.epoch}")
            late = self.late_centroids if self.epoch >= self.late_from else None
            crops = draw_epoch(self.images, self.centroids if late is None else late, self.num_classes, self.share, rng)
            more = int(len(self.images) * (1 + self.multiple)) - len(self.images) if self.coarse else 0
            crops += [(self.coarse[i], None) for i in _cycled(len(self.coarse), more, rng)]
            rng.shuffle(crops)
            draws = [CropRequest(index, center, rng.getrandbits(63)) for index, center in crops]
            whole = self.batch_size * self.world
            steps = len(draws) // whole
            steps = min(steps, self.most_steps) if self.most_steps else steps
            self._drawn = (self.epoch, draws[: steps * whole])
        return self._drawn[1]

    def __len__(self) -> int:
        """Steps of the whole epoch, the same on every process."""
        return len(self.draws()) // (self.batch_size * self.world)

    def __iter__(self) -> Iterator[list[CropRequest]]:
        mine = self.draws()[self.rank :: self.world]
        for step in range(self.start, len(self)):
            yield mine[step * self.batch_size : (step + 1) * self.batch_size]


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
    return {c: rows[np.isin(rows[:, 0], kept)] for c, rows in centroids.items()}


def merge(first: Centroids, second: Centroids, classes: Sequence[int]) -> dict[int, np.ndarray]:
    """Give `first`, with the centroids of `second` appended for `classes`."""
    merged = dict(first)
    for c in classes:
        if c in second:
            merged[c] = np.concatenate([merged[c], second[c]]) if c in merged else second[c]
    return merged
