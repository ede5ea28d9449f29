"""Verdicts on simulated runs: two seeds of one recipe are no difference, true differences are found."""

from __future__ import annotations

from functools import cache
from statistics import NormalDist

import numpy as np
import pytest

from evaluation import verdict
from evaluation.calibration import BINS
from evaluation.comparison import MEAN, Comparison, Entry, compare, words, words_of_checkpoints, words_of_spread
from evaluation.imagecounts import WHOLE, ImageCounts
from evaluation.objects import SIZES

K, IMAGES, TRIALS, DRAWS = 5, 40, 100, 120
CLASSES = [f"class {k}" for k in range(K)]
POOLED = 0.015  # of the recipes in docs/benchmarks.md, whose deviations between seeds are 0.001 to 0.023


def simulated(rng: np.random.Generator, recipe: float, seeds: int, spread: float, difficulty: np.ndarray) -> list:
    """Runs of one recipe: each class's IoU (around 0.6) moves with the recipe, the seed, the image, and at random.

    `spread`: the deviation of the mean IoU between seeds; classes move apart by sqrt(K) times that.
    """
    present = difficulty[..., 0] > 0  # (IMAGES, K)
    found = []
    for _ in range(seeds):
        level = 0.6 + recipe + rng.normal(0, spread * np.sqrt(K), K)
        iou = np.clip(level + difficulty[..., 1] + rng.normal(0, 0.05, (IMAGES, K)), 0.02, 0.98)
        union = np.where(present, difficulty[..., 0], 0)
        pixels = np.stack([union * iou, union * (1 - iou) / 2, union * (1 - iou) / 2], axis=1)
        empty = np.zeros((IMAGES, BINS, 3)), np.zeros((IMAGES, 2, len(SIZES)))
        found.append(ImageCounts(pixels, np.zeros((IMAGES, 2, K)), *empty))
    return found


def images(rng: np.random.Generator) -> np.ndarray:
    """(IMAGES, K, 2): the pixels of each class in each image, and by how much it is easier there, for every run."""
    size = rng.lognormal(7, 1, (IMAGES, K)) * (rng.random((IMAGES, K)) < 0.7)
    return np.stack([size, rng.normal(0, 0.12, (IMAGES, K))], axis=2)


@cache
def trials(gap: float, seeds: int, spread: float, given: float | None = None, number: int = TRIALS) -> list[Comparison]:
    """Comparisons of simulated pairs of recipes that lie `gap` apart."""
    found = []
    for trial in range(number):
        rng = np.random.default_rng(trial)
        difficulty = images(rng)
        entries = [Entry(n, simulated(rng, r, seeds, spread, difficulty)) for n, r in (("a", 0.0), ("b", gap))]
        found.append(compare(entries, CLASSES, seed_deviation=given, draws=DRAWS))
    return found


@pytest.mark.parametrize(("seeds", "spread", "given"), [(1, POOLED, None), (1, 0.003, 0.006), (2, POOLED, None),
                                                        (3, 0.02, None)])  # fmt: skip
def test_two_seeds_of_one_recipe_are_no_difference(seeds: int, spread: float, given: float | None) -> None:
    found = trials(0.0, seeds, spread, given)
    scores = np.array([one.values[0, MEAN] for one in found])
    assert 0.4 < scores.mean() < 0.8 and scores.std() > spread / 2  # the simulation moves
    assert sum("no difference" in words(one.differences[0]) for one in found) >= 95
    assert sum(one.differences[0].differs for one in found) <= 5


def test_images_alone_would_call_many_of_these_pairs_different() -> None:
    found = trials(0.0, 1, POOLED, None)
    alone = sum(one.differences[0].checkpoints_differ for one in found)
    assert alone > 30  # the margin of seeds is what keeps the promise above
    assert "another seed gives others" in words_of_checkpoints(found[0].differences[0])


@pytest.mark.parametrize(("gap", "seeds", "spread", "given"), [(0.12, 1, POOLED, None), (0.03, 3, 0.004, None),
                                                               (-0.05, 1, 0.003, 0.006)])  # fmt: skip
def test_true_differences_are_found(gap: float, seeds: int, spread: float, given: float | None) -> None:
    found = trials(gap, seeds, spread, given, number=20)
    says = f"b is {'better' if gap > 0 else 'worse'}"
    assert sum(says in words(one.differences[0]) for one in found) >= 18


def test_classes_of_one_recipe_differ_in_few_comparisons() -> None:
    """Over three seeds each, some class differs in 5 of 100 comparisons at most: Holm's correction."""
    found = trials(0.0, 3, 0.02, None)
    classes = slice(len(WHOLE), len(WHOLE) + K)
    assert sum(bool((one.differences[0].p[classes] < verdict.LEVEL).any()) for one in found) <= 7


def test_the_margin_adds_squares_and_the_p_value_is_its_inverse() -> None:
    z = NormalDist().inv_cdf(0.975)
    assert verdict.margin(np.array(0.03), np.array(0.04), np.inf) == pytest.approx(z * 0.05)
    # Student's t of two degrees of freedom: sqrt(2) (2p - 1) / sqrt(1 - (2p - 1)^2) at p
    t = np.sqrt(2) * 0.95 / np.sqrt(1 - 0.95**2)
    assert verdict.margin(np.array(0.0), np.array(0.1), 2) == pytest.approx(0.1 * t * (1 + 1 / 4))  # the allowance
    for level in (0.5, 0.05, 1e-6):
        size = verdict.margin(np.array([0.03]), np.array([0.01]), 4, level)
        assert verdict.p_values(size, np.array([0.03]), np.array([0.01]), 4) == pytest.approx(level)
    assert verdict.p_values(np.zeros(1), np.zeros(1), np.zeros(1), np.inf) == 1
    assert np.isnan(verdict.p_values(np.array([np.nan]), np.ones(1), np.ones(1), 4))


def test_holm_by_hand() -> None:
    assert verdict.holm(np.array([0.03, 0.01, np.nan, 0.04])) == pytest.approx([0.06, 0.03, np.nan, 0.06], nan_ok=True)
    assert verdict.holm(np.array([0.9, 0.8])).tolist() == [1, 1] and not len(verdict.holm(np.zeros(0)))


def test_the_spread_is_pooled_over_recipes_or_taken() -> None:
    groups = [
        np.array([[0.50, 0.1], [0.52, 0.3]]),
        np.array([[0.6, 0.2]]),
        np.array([[0.4, 0.0], [0.43, 0], [0.46, 0]]),
    ]
    found = verdict.spread_of(groups)
    assert found.freedom == 3 and found.measured
    assert found.deviation == pytest.approx([np.sqrt((0.0002 + 0.0018) / 3), np.sqrt(0.02 / 3)])
    assert "measured with 3 degrees" in words_of_spread(found, False)
    single = verdict.spread_of([group[:1] for group in groups])
    assert single.deviation[0] == verdict.SEED_DEVIATION and np.isnan(single.deviation[1]) and not single.measured
    assert "--seed_sd" in words_of_spread(single, False)
    given = verdict.spread_of(groups, 0.004)
    assert given.deviation[0] == 0.004 and "as --seed_sd says" in words_of_spread(given, True)


def test_several_recipes_are_corrected_together() -> None:
    rng = np.random.default_rng(0)
    difficulty = images(rng)
    entries = [Entry(str(i), simulated(rng, 0.035 * i, 1, 0.0, difficulty)) for i in range(3)]
    both, one = (compare(e, CLASSES, seed_deviation=0.01, draws=DRAWS) for e in (entries, entries[:2]))
    assert both.differences[0].p[MEAN] >= one.differences[0].p[MEAN] > 0
    assert both.differences[1].p[MEAN] < both.differences[0].p[MEAN]


def test_conditions_have_scores_of_their_images_alone() -> None:
    rng = np.random.default_rng(0)
    difficulty = images(rng)
    entries = [Entry(n, simulated(rng, r, 1, 0.0, difficulty)) for n, r in (("a", 0.0), ("b", 0.05))]
    names = ["fog"] * 10 + ["night"] * 29 + [""]
    found = compare(entries, CLASSES, names, draws=DRAWS)
    assert list(found.conditions) == ["fog", "night"]
    values, intervals = found.conditions["fog"]
    assert values[1] == pytest.approx(entries[1].runs[0].only(np.arange(10)).total()[MEAN])
    assert np.isnan(intervals[0]).all() and intervals[1, 0] < values[1] - values[0] < intervals[1, 1]
