"""Mixtures of a crop with others of its size: (sample, others, generator) -> sample. Labels move with their pixels.

A mixture takes `others` crops beside the first one. Ignored pixels stay ignored wherever they go.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import cv2
import numpy as np

from utils.contracts import Sample

_LEAST = 16  # pixels of an object that is pasted
_EACH = 0.5  # probability that an object of a crop is pasted


class Mixture(Protocol):
    """What the classes below are."""

    @property
    def others(self) -> int:
        """How many crops it takes beside the first."""
        ...

    def __call__(self, sample: Sample, others: Sequence[Sample], rng: random.Random) -> Sample:
        """Mix crops of one size."""
        ...


def _painted(sample: Sample, paint: Callable[[np.ndarray, Callable[[Sample], np.ndarray]], None]) -> Sample:
    """Give a copy of `sample` in which `paint(pixels, layer)` has done the same to the image and to the label."""
    image, label = sample.image.copy(), _label(sample).copy()
    paint(image, lambda one: one.image)
    paint(label, _label)
    return replace(sample, image=image, label=label)


def _label(sample: Sample) -> np.ndarray:
    assert sample.label is not None, f"{sample.name} has no label"
    return sample.label


@dataclass(frozen=True)
class Mosaic:
    """Windows of four crops meet in one point (Bochkovskiy et al., arXiv:2004.10934, section 3.3).

    The point lies in the middle half of each axis; each window is as large as its quarter, from anywhere in its crop.
    """

    others: int = 3

    def __call__(self, sample: Sample, others: Sequence[Sample], rng: random.Random) -> Sample:
        """Mix four crops; the first is in any of the quarters."""
        height, width = sample.image.shape[:2]
        y, x = (rng.randint(side // 4, side - side // 4) for side in (height, width))
        parts = [sample, *others]
        rng.shuffle(parts)
        rows, columns = (slice(0, y), slice(y, height)), (slice(0, x), slice(x, width))
        quarters = [(down, across) for down in rows for across in columns]
        windows = [(_moved(down, height, rng), _moved(across, width, rng)) for down, across in quarters]

        def paint(pixels: np.ndarray, layer: Callable[[Sample], np.ndarray]) -> None:
            for part, quarter, window in zip(parts, quarters, windows, strict=True):
                pixels[quarter] = layer(part)[window]

        return _painted(sample, paint)


def _moved(part: slice, side: int, rng: random.Random) -> slice:
    """Give a span as long as `part` anywhere within `side`."""
    length = part.stop - part.start
    first = rng.randint(0, side - length)
    return slice(first, first + length)


@dataclass(frozen=True)
class CutMix:
    """A rectangle of another crop (Yun et al., arXiv:1905.04899, eq. 1 and 2).

    Its share of the area is uniform in 0 to 1 and its center uniform over the crop, beyond which it is cut off.
    """

    others: int = 1

    def __call__(self, sample: Sample, others: Sequence[Sample], rng: random.Random) -> Sample:
        """Mix two crops."""
        edge = math.sqrt(rng.random())
        rows, columns = (_span(side, edge, rng) for side in sample.image.shape[:2])

        def paint(pixels: np.ndarray, layer: Callable[[Sample], np.ndarray]) -> None:
            pixels[rows, columns] = layer(others[0])[rows, columns]

        return _painted(sample, paint)


def _span(side: int, share: float, rng: random.Random) -> slice:
    half, center = round(side * share) // 2, rng.randrange(side)
    return slice(max(0, center - half), min(side, center + half))


@dataclass(frozen=True)
class CopyPaste:
    """Objects of `classes` from another crop, where they lie there (Ghiasi et al., arXiv:2012.07177, section 3).

    An object is what is connected in the label; those of a few pixels are left out. Each is pasted or not, one at
    least; edges are not blended, which the paper found to bring nothing.
    """

    classes: tuple[int, ...]
    others: int = 1

    def __call__(self, sample: Sample, others: Sequence[Sample], rng: random.Random) -> Sample:
        """Paste into the first crop; it stays as it is where the other has none of the classes."""
        mask = _chosen(_label(others[0]), self.classes, rng)

        def paint(pixels: np.ndarray, layer: Callable[[Sample], np.ndarray]) -> None:
            pixels[mask] = layer(others[0])[mask]

        return _painted(sample, paint) if mask.any() else sample


def _chosen(label: np.ndarray, classes: Sequence[int], rng: random.Random) -> np.ndarray:
    """Mark (H, W) bool: the objects of a label that are pasted."""
    maps, objects = {}, []
    for c in classes:
        of_class = (label == c).astype(np.uint8)
        count, maps[c], figures, _ = cv2.connectedComponentsWithStats(of_class, connectivity=8)
        objects += [(c, i) for i in range(1, count) if figures[i, cv2.CC_STAT_AREA] >= _LEAST]
    chosen = [one for one in objects if rng.random() < _EACH] or ([rng.choice(objects)] if objects else [])
    mask = np.zeros(label.shape, bool)
    for c in classes:
        if numbers := [i for of, i in chosen if of == c]:
            mask |= np.isin(maps[c], numbers)
    return mask
