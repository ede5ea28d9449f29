"""Collects suspicious areas over any number of images, in memory that does not depend on how many they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from evaluation.labelcheck.areas import Area, Compared, measure
from evaluation.labelcheck.score import Usual, scores
from utils.distributed import DistributedContext

ALONE = DistributedContext()


class Found(NamedTuple):
    """What a finder has found: areas and their scores, the worst first, and the figures of all images.

    `dropped`: how many areas there were besides, all of lower scores.
    """

    areas: list[Area]
    scores: list[float]
    usual: Usual
    images: int
    dropped: int


class Finder:
    """Takes images one by one and keeps the `most` worst areas; between two prunings up to twice as many.

    An area's score depends on what is usual for its classes, which is known better with each image: so it is taken anew
    each time the areas are pruned, and at the end by the figures of all images. `least`: areas of fewer pixels than
    this share of their image are left out.
    """

    def __init__(self, num_classes: int, most: int, least: float = 0.0) -> None:
        self.most, self.least = most, least
        self.usual = Usual.of(num_classes)
        self.images = self.dropped = 0
        self._areas: list[Area] = []

    def add(self, image: str, one: Compared, factor: float = 1.0) -> None:
        """Look at one image, by a name that no other one has; `factor`: pixels of its file for each of the label."""
        self.usual.add(one)
        self.images += 1
        least = self.least * one.label.size
        self._areas += (area for area in measure(one, image, factor) if area.pixels >= least)
        if len(self._areas) > 2 * self.most:
            self._prune()

    def _prune(self) -> None:
        kept = ranked(self._areas, self.usual)[: self.most]
        self.dropped += len(self._areas) - len(kept)
        self._areas = [area for area, _ in kept]

    def result(self, ranks: DistributedContext = ALONE) -> Found:
        """Put together what all processes have found; every one has to call it."""
        self._prune()
        parts = ranks.gather((self._areas, self.usual, self.images, self.dropped))
        usual = Usual.sum(part[1] for part in parts)
        rows = ranked([area for part in parts for area in part[0]], usual)
        kept = rows[: self.most]
        dropped = sum(part[3] for part in parts) + len(rows) - len(kept)
        areas, values = [area for area, _ in kept], [score for _, score in kept]
        return Found(areas, values, usual, sum(part[2] for part in parts), dropped)


def ranked(areas: Sequence[Area], usual: Usual) -> list[tuple[Area, float]]:
    """Give areas with their scores, the worst first; equal ones by name and place."""
    found = zip(areas, scores(areas, usual).tolist(), strict=True)
    return sorted(found, key=lambda one: (-one[1], one[0].image, one[0].box))


def per_image(areas: Iterable[Area], values: Iterable[float]) -> list[tuple[str, int, float]]:
    """Give (image, its areas, the sum of their scores), the largest sum first."""
    sums: dict[str, tuple[int, float]] = {}
    for area, value in zip(areas, values, strict=True):
        count, total = sums.get(area.image, (0, 0.0))
        sums[area.image] = count + 1, total + value
    return sorted(((name, *both) for name, both in sums.items()), key=lambda row: (-row[2], row[0]))
