"""Crops that are mixed with others of the same images: which others, and how often.

All of it comes from the seed of the crop's request, so that a resumed run and any number of loader processes see the
same. The crop itself, and its colors, are what they are without a mixture.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np

import transforms
from datasets.audit import Labels
from datasets.base import SegmentationDataset, as_request
from datasets.samplers import ClassUniformSampler
from transforms.mixing import CopyPaste, CutMix, Mixture, Mosaic
from utils.contracts import CropRequest, Sample
from utils.errors import UserError

_RARE = 0.5  # of an equal share of the pixels: a class with less is rare
_NAMED = 8


@dataclass(frozen=True)
class AnyCrop:
    """Draws a crop of any of `images`."""

    images: Sequence[int]

    def __call__(self, rng: random.Random) -> CropRequest:
        """Draw one."""
        return CropRequest(rng.choice(self.images), None, rng.getrandbits(63))


@dataclass(frozen=True)
class RareCrop:
    """Draws a crop round a centroid of a class, classes by their weights. `centroids`: rows of (item, x, y)."""

    centroids: Mapping[int, np.ndarray]
    weights: Mapping[int, float]

    def __call__(self, rng: random.Random) -> CropRequest:
        """Draw one."""
        (c,) = rng.choices([*self.weights], [*self.weights.values()])
        index, x, y = (int(value) for value in self.centroids[c][rng.randrange(len(self.centroids[c]))])
        return CropRequest(index, (x, y), rng.getrandbits(63))


class Mixing(NamedTuple):
    """A mixture, the share of the crops that have it, and how the other crops are drawn."""

    share: float
    draw: Callable[[random.Random], CropRequest]
    mix: Mixture


@dataclass
class MixedDataset(SegmentationDataset):
    """A dataset whose crops are mixed, one mixture after another; `last`: the steps that follow."""

    mixings: tuple[Mixing, ...] = ()
    last: transforms.Pipeline = transforms.Pipeline()

    def __getitem__(self, draw: CropRequest | tuple[int, tuple[int, int] | None] | int) -> Sample:
        request = as_request(draw)
        sample, rng = super().__getitem__(request), random.Random(f"mix-{request.seed}")
        for mixing in self.mixings:
            if sample.label is not None and rng.random() < mixing.share:
                others = [self._other(mixing.draw(rng)) for _ in range(mixing.mix.others)]
                sample = mixing.mix(sample, others, rng)
        return self.last(sample, rng)

    def _other(self, request: CropRequest) -> Sample:
        other = super().__getitem__(request)
        if other.label is None:
            raise UserError(f"{other.name} has no label; training needs one for each image")
        return other


def build(cfg: Any, dataset: SegmentationDataset, sampler: ClassUniformSampler, labels: Labels) -> SegmentationDataset:
    """Give the dataset mixed as AUG asks, with crops of the images that `sampler` draws; itself where nothing is asked.

    What is pasted is noted in `labels`.
    """
    a, any_crop = cfg.AUG, AnyCrop(sampler.images)
    mixings = [Mixing(a.MOSAIC, any_crop, Mosaic()), Mixing(a.CUTMIX, any_crop, CutMix())]
    if a.COPY_PASTE:
        near = sampler.centroids if sampler.late_centroids is None else sampler.late_centroids
        wanted = np.zeros(len(dataset), bool)
        wanted[np.asarray(sampler.images, np.int64)] = True
        pixels = np.sum([one.tally(wanted, dataset.spec.num_classes).pixels for one in labels.pixels], axis=0)[:-1]
        weights = rare({c: int(pixels[c]) for c, rows in near.items() if len(rows)})
        mixings += [Mixing(a.COPY_PASTE, RareCrop(near, weights), CopyPaste(tuple(weights)))] if weights else []
        labels.notes.append(f"--copy_paste: {_named(weights, dataset.spec.classes)}")
    asked = tuple(mixing for mixing in mixings if mixing.share)
    if not asked:
        return dataset
    given = {field.name: getattr(dataset, field.name) for field in fields(dataset) if field.init}
    steps, last = transforms.build_parts(cfg, dataset.spec)
    return MixedDataset(**{**given, "transform": steps}, mixings=asked, last=last)


def rare(pixels: Mapping[int, int]) -> dict[int, float]:
    """Weigh {class: pixels} -> {class: weight, 1 in all} by inverse share: rare classes alone, else the rarest one."""
    found = {c: count for c, count in pixels.items() if count}
    bound = _RARE * sum(found.values()) / max(1, len(found))
    kept = {c: count for c, count in found.items() if count < bound} or dict(sorted(found.items(), key=_by_count)[:1])
    total = sum(1 / count for count in kept.values())
    return {c: 1 / count / total for c, count in sorted(kept.items())}


def _by_count(entry: tuple[int, int]) -> int:
    return entry[1]


def _named(weights: Mapping[int, float], classes: Sequence[str]) -> str:
    """Say how often each class is looked for, the most frequent first."""
    if not weights:
        return "no class has a centroid, so that nothing is pasted"
    order = sorted(weights, key=lambda c: -weights[c])
    more = f" and {len(order) - _NAMED} more" if len(order) > _NAMED else ""
    return (
        "rare classes by inverse share: " + ", ".join(f"{classes[c]} {weights[c]:.0%}" for c in order[:_NAMED]) + more
    )
