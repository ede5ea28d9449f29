"""Whether two recipes differ: by more than other images and other seeds would make two trainings of one recipe differ.

Two things move a score by chance. Other images of the same kind would give other scores: the paired bootstrap over
images (`evaluation.bootstrap`) says by how much. And another seed of the same recipe gives another network: of that the
images know nothing, since both networks are what they are on all of them. Two seeds of one recipe truly differ, as
networks; an interval over images alone calls every second of such pairs different (`tests/evaluation/test_verdict.py`
counts them), and a reader takes the seed for the recipe. So there are two statements, each with its own words:

- Of these checkpoints: the interval over images alone. It is about these files and says nothing of another training.
- Of the recipes, the verdict: with both sources. Let d be the difference of the recipes' mean scores, e its deviation
  over images, s the deviation between seeds, and n, m the numbers of runs. The margin of 95 % is

      sqrt((z e)^2 + (t s)^2 (1 / n + 1 / m)),

  with z of the normal distribution, t of Student's with the degrees of freedom that s was estimated with; the squares
  of half-widths of independent sources add up. |d| within the margin is "no difference". Where d exceeds the margin
  it also exceeds t s sqrt(1 / n + 1 / m), so that at most 5 of 100 pairs of one recipe do: the t-test over seeds is
  exact for any images and normal scores, and the images' part can make it only more careful. Scores of real seeds are
  skewed: of two seeds against two of the twelve in docs/own_data.md it called 5.6 of 100 different, so t is widened
  by 1 / (2 degrees of freedom). The p-value is the level at which the margin is |d|.

s comes from the runs where a recipe has several: the squares of deviations from each recipe's own mean, pooled over
the recipes. Where each has one run nothing can tell it, and `SEED_DEVIATION` is taken as known, or what the user
gives. It is 2.0 points of mean IoU. Twelve recipes in docs/benchmarks.md have three seeds each; their deviations are
0.1 to 2.3 points, four of them about 2 or more: so small trainings from few images scatter. With 2.0 chance calls 2.3
of 100 pairs of these recipes different (9 of 100 of the widest), with their pooled 1.5 it would be 6.7. One run each
then tells differences from 5.5 points on; longer trainings scatter less, and three seeds each of a recipe with a
spread of half a point tell 1.3 points.

Several comparisons at once, of recipes with the first one or of classes, are corrected by Holm's method (1979): the
chance that any verdict "differs" is wrong is 5 % at most. A default says nothing of single classes, whose seeds scatter
more: with one run each they are compared as these checkpoints, and the page says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

SEED_DEVIATION = 0.02  # of the mean IoU in 0..1 between two seeds of a recipe, where no runs tell it
LEVEL = 0.05
ALLOWANCE = 0.5  # divided by the degrees of freedom: by how much t is widened for scores that are not normal
_HALVINGS = 50


@dataclass(frozen=True)
class SeedSpread:
    """Deviation of figures between seeds (figures,), NaN where it is not known, and the degrees of freedom behind it,
    infinite where it is given.
    """

    deviation: np.ndarray
    freedom: float

    @property
    def measured(self) -> bool:
        """Whether runs have told it."""
        return bool(np.isfinite(self.freedom))


def spread_of(groups: Sequence[np.ndarray], given: float | None = None) -> SeedSpread:
    """Pool the spread over groups of runs (runs, figures), of which the first figure is the mean IoU.

    `given`: the deviation of the mean IoU to take instead of what is measured. Where no group has two runs and nothing
    is given it is SEED_DEVIATION, that of other figures unknown.
    """
    freedom = sum(len(group) - 1 for group in groups)
    if given is None and freedom:
        squares = sum(((group - group.mean(0)) ** 2).sum(0) for group in groups)
        return SeedSpread(np.sqrt(squares / freedom), freedom)
    deviation = np.full(groups[0].shape[1], np.nan)
    deviation[0] = SEED_DEVIATION if given is None else given
    return SeedSpread(deviation, np.inf)


def margin(images: np.ndarray, seeds: np.ndarray, freedom: float, level: float | np.ndarray = LEVEL) -> np.ndarray:
    """Give the half-width of the interval of 1 - `level`. `images`, `seeds`: standard errors of a difference."""
    z = -special.ndtri(np.asarray(level) / 2)
    t = -special.stdtrit(freedom, np.asarray(level) / 2) * (1 + ALLOWANCE / freedom) if np.isfinite(freedom) else z
    return np.hypot(z * images, t * seeds)


def p_values(difference: np.ndarray, images: np.ndarray, seeds: np.ndarray, freedom: float) -> np.ndarray:
    """Give the level at which the margin is the difference; 1 where there is none, NaN where one is not defined."""
    size = np.abs(difference)
    low, high = np.full(size.shape, -700.0), np.zeros(size.shape)  # of the level's logarithm
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        wider = margin(images, seeds, freedom, np.exp(middle)) > size
        low, high = np.where(wider, middle, low), np.where(wider, high, middle)
    found = np.where(size > 0, np.exp(high), 1.0)
    return np.where(np.isnan(size) | np.isnan(images) | np.isnan(seeds), np.nan, found)


def holm(p: np.ndarray) -> np.ndarray:
    """Correct p-values (n,) of comparisons that are made at once; undefined ones are none."""
    found, defined = np.full(len(p), np.nan), np.flatnonzero(~np.isnan(p))
    order = defined[np.argsort(p[defined], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    found[order] = np.minimum(1, np.maximum.accumulate(p[order] * factors)) if len(order) else []
    return found


def paired_standard_error(deviation: np.ndarray, runs: int, others: int) -> np.ndarray:
    """Give the part of seeds in the standard error of a difference of means of so many runs; 0 where it is unknown."""
    return np.nan_to_num(deviation) * np.sqrt(1 / runs + 1 / others)
