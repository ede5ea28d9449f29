"""What the labels and images of a split hold, summed up image by image: its size does not grow with their number."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np

from datasets.audit import class_pixels
from datasets.samplers import crops_per_class

SIDES = 40  # classes of object size: sides of a square as large, two for each octave
SHARES = (0.1, 0.5, 0.9)  # of the objects, that are smaller


class Holds(NamedTuple):
    """What a label holds: `pixels` (K + 1,) of each class, the ignored last; `objects` (K, SIDES) of each size;
    `tiles` (K,): the share of its tiles with each class; `together` (K, K): tiles with both.
    """

    pixels: np.ndarray
    objects: np.ndarray
    tiles: np.ndarray
    together: np.ndarray


def holds(label: np.ndarray, classes: int, tile: int) -> Holds:
    """Count what a label (H, W) uint8 of train ids holds."""
    pixels = class_pixels(label, classes)
    present = _in_tiles(label, classes, tile)
    return Holds(pixels, _objects(label, pixels[:-1]), present.mean(0), present.T @ present)


def _in_tiles(label: np.ndarray, classes: int, tile: int) -> np.ndarray:
    """Say which tiles of a label have which class: (T, K) int64. They cover it all, and so may overlap."""
    tile = min(tile, *label.shape)
    counts = [-(-side // tile) for side in label.shape]
    rows, columns = (
        np.linspace(0, side - tile, n).round().astype(int).tolist() for side, n in zip(label.shape, counts, strict=True)
    )
    tiles = [label[y : y + tile, x : x + tile] for y in rows for x in columns]
    return np.array([class_pixels(np.ascontiguousarray(t), classes)[:-1] > 0 for t in tiles]).astype(np.int64)


def _objects(label: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Count connected parts of each class by size: (K, SIDES) int64."""
    found = np.zeros((len(pixels), SIDES), np.int64)
    for k in np.flatnonzero(pixels).tolist():
        mask = cv2.compare(label, k, cv2.CMP_EQ)
        x, y, width, height = cv2.boundingRect(mask)
        stats = cv2.connectedComponentsWithStats(mask[y : y + height, x : x + width], connectivity=8)[2]
        areas = stats[1:, cv2.CC_STAT_AREA]
        found[k] = np.bincount(np.minimum(np.log2(areas).astype(np.int64), SIDES - 1), minlength=SIDES)
    return found


@dataclass
class Tally:
    """Sums over a split of K classes. `images`: those that could be read; `labels` likewise.

    `images_with` (K,): labels that have a class; `light`: pixels, sums (3,) and sums of squares (3,) of the channels.
    """

    classes: int
    listed: int = 0
    images: int = 0
    labels: int = 0
    sizes: dict[tuple[int, int], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        k = self.classes
        self.pixels, self.images_with = np.zeros(k + 1, np.int64), np.zeros(k, np.int64)
        self.objects = np.zeros((k, SIDES), np.int64)
        self.tiles, self.together = np.zeros(k), np.zeros((k, k), np.int64)
        self.light = np.zeros((3, 3))

    def add_image(self, size: tuple[int, int], light: np.ndarray) -> None:
        """Count an image of `size` (H, W); `light` (3, 3): see `light_of`."""
        self.images += 1
        self.light += light
        if size in self.sizes or len(self.sizes) < 1000:
            self.sizes[size] = self.sizes.get(size, 0) + 1

    def add_label(self, found: Holds) -> None:
        """Count a label."""
        self.labels += 1
        self.pixels += found.pixels
        self.images_with += found.pixels[:-1] > 0
        self.objects += found.objects
        self.tiles += found.tiles
        self.together += found.together

    @property
    def ignored(self) -> float:
        """The share of ignored pixels, 0 to 1."""
        return float(self.pixels[-1] / max(1, self.pixels.sum()))

    @property
    def shares(self) -> np.ndarray:
        """The share of each class of the pixels that count, (K,)."""
        return self.pixels[:-1] / max(1, self.pixels[:-1].sum())

    @property
    def absent(self) -> list[int]:
        """Classes that no label has."""
        return np.flatnonzero(self.pixels[:-1] == 0).tolist()

    def mean_and_deviation(self) -> tuple[np.ndarray, np.ndarray]:
        """Give mean and standard deviation of the channels R, G, B, of 0 to 1."""
        count = np.maximum(self.light[0], 1)
        mean = self.light[1] / count
        return mean / 255, np.sqrt(np.maximum(self.light[2] / count - mean**2, 0)) / 255

    def object_sides(self) -> np.ndarray:
        """Give the sides in pixels of squares as large as objects, those of SHARES of them: (K, 3), NaN for none."""
        total = self.objects.sum(1, keepdims=True)
        below = np.cumsum(self.objects, 1) / np.maximum(total, 1)
        middle = 2 ** ((np.arange(SIDES) + 0.5) / 2)
        found = np.stack([middle[(below >= share).argmax(1)] for share in SHARES], 1)
        return np.where(total > 0, found, np.nan)


def light_of(image: np.ndarray) -> np.ndarray:
    """Sum up an image (H, W, 3) uint8: (3, 3) of pixels, values, squares of values, each of the channels."""
    count = image.shape[0] * image.shape[1]
    mean, deviation = (x.ravel() for x in cv2.meanStdDev(image))
    return np.stack([np.full(3, count), mean * count, (deviation**2 + mean**2) * count])


class Draws(NamedTuple):
    """What class-uniform sampling does to a class: crops drawn for it in an epoch, and the expected share of an epoch's
    crops that show it, without and with that sampling.
    """

    crops: int
    without: float
    drawn: float


def draws(tally: Tally, images: int, share: float) -> list[Draws]:
    """Tell what sampling a `share` of an epoch of so many images class-uniformly does to each class.

    As `samplers.draw_epoch` draws: each class that is anywhere has the same number of crops, round a place in one of
    its tiles; the rest are anywhere in any image. What such a crop shows is estimated by the tiles.
    """
    without = tally.tiles / max(1, tally.labels)
    each = crops_per_class(images, share, tally.classes)
    there = np.diagonal(tally.together) > 0
    beside = tally.together / np.maximum(np.diagonal(tally.together), 1)[:, None]  # (K, K): of tiles with the first
    rest = images - each * tally.classes
    shown = each * beside[there].sum(0) + rest * without
    drawn = shown / max(1, each * int(there.sum()) + rest)
    return [Draws(each * int(there[k]), float(without[k]), float(drawn[k])) for k in range(tally.classes)]
