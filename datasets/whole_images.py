"""Batches whose size changes from one to the next: whole images, portrait ones apart from landscape ones.

As scene parsing is trained (Zhou et al., arXiv:1608.05442): every process has a batch, and so a size, of its own.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from datasets.base import Item, Split
from datasets.batches import WorkerError, collate_train
from datasets.reading import size_of
from datasets.samplers import EpochSampler
from utils.contracts import Batch, CropRequest, DatasetSpec, Sample
from utils.distributed import DistributedContext
from utils.errors import UserError
from utils.resize import rounded_up


def portrait(items: Sequence[Item], skips_bad: bool = False) -> list[bool]:
    """Say whether each image is taller than wide, by its list, else by the head of its file.

    UserError for a file without a head; where bad samples are left out it counts as wide until it is drawn.
    """
    return [_is_portrait(item, skips_bad) for item in items]


def _is_portrait(item: Item, skips_bad: bool) -> bool:
    try:
        height, width = item.size or size_of(item.image)
    except UserError:
        if not skips_bad:
            raise
        return False
    return height > width


def grouped(order: Iterable[int], portrait: Sequence[bool], batch_size: int) -> Iterator[list[int]]:
    """Put the images of `order` into two queues, by orientation; a queue that has filled is the next batch."""
    queues: dict[bool, list[int]] = {True: [], False: []}
    for index in order:
        queue = queues[portrait[index]]
        queue.append(index)
        if len(queue) == batch_size:
            yield queue.copy()
            queue.clear()


@dataclass
class OrientationSampler(EpochSampler):
    """Batches of one process, each with a short side drawn from `shorts`, an epoch once through the images.

    All processes together draw an epoch's batches from (seed, epoch); process r of n takes every n-th from r on. What
    does not fill a batch, or not one for every process, is left out of the epoch. `most_steps`: an epoch ends after so
    many; 0: when it is through.
    """

    portrait: Sequence[bool]
    shorts: Sequence[int]
    batch_size: int
    rank: int = 0
    world: int = 1
    seed: int = 0
    most_steps: int = 0

    def __post_init__(self) -> None:
        if not len(self):
            standing = sum(self.portrait)
            raise UserError(
                f"{standing} portrait and {len(self.portrait) - standing} other training images do not fill a batch of "
                f"{self.batch_size} images of one orientation on each of {self.world} processes: lower --bs_trn"
            )

    def __len__(self) -> int:
        """Steps of the whole epoch, the same for every process and epoch."""
        standing = sum(self.portrait)
        batches = standing // self.batch_size + (len(self.portrait) - standing) // self.batch_size
        steps = batches // self.world
        return min(steps, self.most_steps) if self.most_steps else steps

    def batches(self) -> Iterator[list[CropRequest]]:
        """Draw the epoch's batches for all processes, in order."""
        rng = random.Random(f"{self.seed}-{self.epoch}")
        order = rng.sample(range(len(self.portrait)), len(self.portrait))
        for batch in grouped(order, self.portrait, self.batch_size):
            short = rng.choice(self.shorts)
            yield [CropRequest(index, None, rng.getrandbits(63), short) for index in batch]

    def __iter__(self) -> Iterator[list[CropRequest]]:
        mine = list(self.batches())[self.rank :: self.world]
        yield from mine[self.start : len(self)]


@dataclass(frozen=True)
class PadTogether:
    """Samples of several sizes to a batch of one: each lies at the top left of a canvas as large as all of them need.

    Images have to be float, normalized: the rest of a canvas is 0, the mean color. Its sides are multiples of
    `multiple`, labels are at 1/`stride` of them, and the rest of a label is `fill`.
    """

    multiple: int
    stride: int
    fill: int

    def __call__(self, samples: Sequence[Sample | WorkerError]) -> Batch | WorkerError:
        """N samples (h, w, 3) -> image (N, 3, H, W) float32, label (N, H / stride, W / stride)."""
        whole = [sample for sample in samples if not isinstance(sample, WorkerError)]
        height, width = (rounded_up(max((s.image.shape[i] for s in whole), default=1), self.multiple) for i in (0, 1))
        return collate_train([s if isinstance(s, WorkerError) else self._laid(s, height, width) for s in samples])

    def _laid(self, sample: Sample, height: int, width: int) -> Sample:
        image, label = np.zeros((height, width, 3), np.float32), sample.label
        image[: sample.image.shape[0], : sample.image.shape[1]] = sample.image
        if label is not None:
            canvas = np.full((height // self.stride, width // self.stride), self.fill, np.uint8)
            canvas[: label.shape[0], : label.shape[1]] = label
            label = canvas
        return replace(sample, image=image, label=label)


def sampler(cfg: Any, ranks: DistributedContext, split: Split, most_steps: int = 0) -> OrientationSampler:
    """Draw batches of the fine images of a split as DATASET.IMG_SIZES asks."""
    shorts = cfg.DATASET.IMG_SIZES
    standing = portrait(split.items[: split.fine], cfg.DATASET.ON_BAD_SAMPLE == "skip")
    return OrientationSampler(standing, shorts, cfg.TRAIN.BATCH_SIZE, ranks.rank, ranks.world, cfg.SEED, most_steps)


def build_collate(cfg: Any, spec: DatasetSpec) -> PadTogether:
    """Pad as DATASET.PADDING asks. `--published wall_padding`: labels are 0 there, ADE20K's wall."""
    fill = 0 if "wall_padding" in cfg.PUBLISHED else spec.ignore_label
    return PadTogether(cfg.DATASET.PADDING, cfg.DATASET.LABEL_STRIDE, fill)
