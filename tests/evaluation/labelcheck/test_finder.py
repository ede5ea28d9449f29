"""The finder: order, bounds, processes, and memory that does not grow with the set."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from label_areas import area

from evaluation.labelcheck.areas import Compared
from evaluation.labelcheck.finder import Finder, Found, per_image
from utils.distributed import DistributedContext

CLASSES = 4


def image(seed: int, size: int = 48) -> Compared:
    """Blocks of classes, a few of which are labeled otherwise than predicted."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, CLASSES, (size // 8, size // 8), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    label = classes.copy()
    for _ in range(3):
        top, left = rng.integers(0, size - 8, 2)
        label[top : top + 8, left : left + 8] = rng.integers(0, CLASSES)
    label[:4] = 255
    sure = rng.uniform(0.5, 1, label.shape).astype(np.float32)
    return Compared(label, classes, np.where(label == classes, sure, 1 - sure), sure, label != 255)


def search(images: Iterator[int], most: int = 1000, least: float = 0.0) -> Found:
    finder = Finder(CLASSES, most, least)
    for seed in images:
        finder.add(f"image {seed:04d}", image(seed))
    return finder.result()


def test_the_worst_come_first() -> None:
    found = search(iter(range(12)))
    assert len(found.areas) > 10 and found.scores == sorted(found.scores, reverse=True)
    assert found.images == 12 and found.dropped == 0
    again = search(iter(reversed(range(12))))
    assert again.areas == found.areas and again.scores == pytest.approx(found.scores)


def test_what_does_not_fit_are_the_lowest_scores() -> None:
    every, some = search(iter(range(30))), search(iter(range(30)), most=30)
    assert len(some.areas) == 30 and some.dropped == len(every.areas) - 30 > 20
    assert some.areas[:10] == every.areas[:10]  # lower down, areas were dropped by the figures of few images


def test_a_perfect_label_has_no_area() -> None:
    one = image(0)
    finder = Finder(CLASSES, 10)
    finder.add("a", Compared(one.classes, one.classes, one.p_predicted, one.p_predicted, one.valid))
    assert finder.result()[:2] == ([], []) and finder.usual.differing == 0
    assert Finder(CLASSES, 10).result().images == 0


def test_small_areas_can_be_left_out() -> None:
    every, large = search(iter(range(10))), search(iter(range(10)), least=0.025)
    assert 0 < len(large.areas) < len(every.areas)
    assert all(a.pixels >= 0.025 * 48 * 48 for a in large.areas)


def peak(count: int, images: list[Compared]) -> int:
    """Bytes at the most while so many images pass."""
    finder = Finder(CLASSES, 10)
    tracemalloc.start()
    for number in range(count):
        finder.add(f"image {number:06d}", images[number % len(images)])
    finder.result()
    bytes_ = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return bytes_


def test_memory_does_not_grow_with_the_set() -> None:
    images = [image(seed) for seed in range(4)]
    peak(8, images)  # what is imported and cached at the first call
    sizes = [peak(count, images) for count in (20, 80, 160)]
    assert max(sizes) < 1.4 * min(sizes), sizes  # if all areas were kept, more than three times


class Ranks(DistributedContext):
    """Two processes, of which the other has found what `other` says."""

    def __init__(self, other: Any) -> None:
        super().__init__()
        object.__setattr__(self, "other", other)

    def gather(self, value: Any) -> list[Any]:
        return [value, self.other]  # type: ignore[attr-defined]


def test_processes_find_what_one_finds() -> None:
    halves = [Finder(CLASSES, 1000) for _ in range(2)]
    for seed in range(12):
        halves[seed % 2].add(f"image {seed:04d}", image(seed))
    other = halves[1]
    other.result()
    found = halves[0].result(Ranks((other._areas, other.usual, other.images, other.dropped)))
    alone = search(iter(range(12)))
    assert found.areas == alone.areas and found.scores == pytest.approx(alone.scores)
    assert found.images == 12 and (found.usual.counts == alone.usual.counts).all()


def test_sums_by_image() -> None:
    areas = [area(image=name) for name in "abab"]
    assert per_image(areas, [1.0, 2.0, 3.0, 4.5]) == [("b", 2, 6.5), ("a", 2, 4.0)]
