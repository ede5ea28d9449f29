"""Runs side by side: figures of each recipe, their differences from the first one, and what may be said of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evaluation import bootstrap, verdict
from evaluation.imagecounts import WHOLE, ImageCounts, names
from evaluation.verdict import SeedSpread
from utils.plural import counted

MEAN = 0  # the column of the mean IoU


@dataclass(frozen=True)
class Entry:
    """A recipe: its name and the counts of its runs, of the same images in the same order."""

    name: str
    runs: Sequence[ImageCounts]

    def run_figures(self) -> np.ndarray:
        """Give the figures of each run, (runs, figures)."""
        return np.stack([run.total() for run in self.runs])

    def figures(self) -> np.ndarray:
        """Give their mean over the runs."""
        return bootstrap.mean_of(self.run_figures())


@dataclass(frozen=True)
class Difference:
    """A recipe less the first one. Arrays are over `names` of the figures, in 0..1.

    `images`: (2, figures), the interval over images alone; `margin`: of images and seeds together, where the spread of
    seeds is known, else NaN; `p`: by that margin, or over images alone; that of the mean IoU is corrected for several
    recipes, those of classes for several classes.
    """

    name: str
    first: str
    value: np.ndarray
    images: np.ndarray
    margin: np.ndarray
    p: np.ndarray
    p_images: float
    runs: tuple[int, int]

    @property
    def differs(self) -> bool:
        """Whether the recipes differ in the mean IoU."""
        return bool(self.p[MEAN] < verdict.LEVEL)

    @property
    def checkpoints_differ(self) -> bool:
        """Whether these very networks differ in the mean IoU, on images like these."""
        return bool(self.p_images < verdict.LEVEL)

    @property
    def single(self) -> bool:
        """Whether one run each is compared."""
        return self.runs == (1, 1)


@dataclass(frozen=True)
class Comparison:
    """All of it: the figures of each recipe (entries, figures), differences, spread between seeds, scores by condition.

    `conditions`: {condition: (entries,) mean IoU, and its differences' intervals over images (entries, 2)}.
    """

    names: Sequence[str]
    classes: Sequence[str]
    entries: Sequence[Entry]
    values: np.ndarray
    spread: SeedSpread
    differences: Sequence[Difference]
    conditions: Mapping[str, tuple[np.ndarray, np.ndarray]]


def compare(
    entries: Sequence[Entry],
    classes: Sequence[str],
    conditions: Sequence[str] = (),
    seed_deviation: float | None = None,
    one_recipe: bool = False,
    draws: int = bootstrap.DRAWS,
) -> Comparison:
    """Compare each entry with the first one. `conditions`: that of each image, "" for none. `one_recipe`: the entries
    are seeds of one recipe, whose spread they tell together.
    """
    groups = [entry.run_figures() for entry in entries]
    spread = verdict.spread_of([np.concatenate(groups)] if one_recipe else groups, seed_deviation)
    values = np.stack([entry.figures() for entry in entries])
    drawn = bootstrap.drawn_figures(entries[0].runs, draws)
    found = []
    for entry, value in zip(entries[1:], values[1:], strict=True):
        apart = bootstrap.drawn_figures(entry.runs, draws) - drawn
        found.append(_difference(entry, entries[0], value - values[0], apart, spread, len(classes)))
    by_condition = {name: _by_condition(entries, np.array(conditions) == name, draws)
                    for name in sorted({*conditions} - {""})}  # fmt: skip
    return Comparison(names(classes), classes, entries, values, spread, _corrected(found), by_condition)


def _difference(
    entry: Entry, first: Entry, value: np.ndarray, apart: np.ndarray, spread: SeedSpread, classes: int
) -> Difference:
    """Make one from the differences in each draw (draws, figures); p-values of classes are corrected."""
    images = bootstrap.deviation(apart)
    runs = (len(entry.runs), len(first.runs))
    seeds = verdict.paired_standard_error(spread.deviation, *runs)
    known = np.isfinite(spread.deviation)
    margin = np.where(known, verdict.margin(images, seeds, spread.freedom), np.nan)
    p = verdict.p_values(value, images, seeds, spread.freedom)
    first_class = len(WHOLE)
    for start in (first_class, first_class + classes):
        p[start : start + classes] = verdict.holm(p[start : start + classes])
    alone = verdict.p_values(value[:1], images[:1], np.zeros(1), np.inf)[0]
    return Difference(entry.name, first.name, value, bootstrap.interval(apart), margin, p, float(alone), runs)


def _corrected(found: Sequence[Difference]) -> list[Difference]:
    """Correct the p-values of the mean IoU for several recipes."""
    p = verdict.holm(np.array([one.p[MEAN] for one in found]))
    alone = verdict.holm(np.array([one.p_images for one in found]))
    for one, mean in zip(found, p, strict=True):
        one.p[MEAN] = mean
    return [Difference(**{**vars(one), "p_images": float(x)}) for one, x in zip(found, alone, strict=True)]


def _by_condition(entries: Sequence[Entry], images: np.ndarray, draws: int) -> tuple[np.ndarray, np.ndarray]:
    """Give the mean IoU of each entry on some images, and its differences' intervals (entries, 2); the first's NaN."""
    parts = [Entry(entry.name, [run.only(images) for run in entry.runs]) for entry in entries]
    values = np.array([part.figures()[MEAN] for part in parts])
    drawn = bootstrap.drawn_figures(parts[0].runs, draws)[:, :1]
    apart = [bootstrap.drawn_figures(part.runs, draws)[:, :1] - drawn for part in parts[1:]]
    return values, np.stack([np.full(2, np.nan), *(bootstrap.interval(one)[:, 0] for one in apart)])


def words(one: Difference) -> str:
    """Say the verdict: "b against a: +1.20 points of mean IoU, margin 4.31 (images and seeds): no difference"."""
    value, margin = 100 * one.value[MEAN], 100 * one.margin[MEAN]
    said = "no difference"
    if np.isnan(value):
        said = "no score, since no pixel counts"
    elif one.differs:
        said = f"{one.name} is {'better' if value > 0 else 'worse'}"
    return f"{one.name} against {one.first}: {value:+.2f} points of mean IoU, margin {margin:.2f}: {said}"


def words_of_checkpoints(one: Difference) -> str:
    """Say what holds of these networks as they are: the interval over images alone."""
    low, high = 100 * one.images[:, MEAN]
    these = "these two checkpoints" if one.single else "these checkpoints"
    said = "no difference"
    if one.checkpoints_differ:
        said = f"{one.name} is {'better' if one.value[MEAN] > 0 else 'worse'} on images like these"
    return f"{these} alone, 95 % of draws of images {low:+.2f} to {high:+.2f}: {said}; another seed gives others"


def words_of_spread(spread: SeedSpread, given: bool) -> str:
    """Say where the spread between seeds comes from."""
    points = f"{100 * spread.deviation[MEAN]:.2f} points between two seeds of a recipe"
    if spread.measured:
        return f"{points}, measured with {counted(int(spread.freedom), 'degree')} of freedom"
    if given:
        return f"{points}, as --seed_sd says"
    return f"{points} are taken, since no recipe has two runs: give more seeds, or --seed_sd POINTS if you know it"
