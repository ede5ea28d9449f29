"""How far figures would lie apart on other images of the same kind: the images are drawn anew, with replacement.

The bootstrap over images (Efron 1979), paired: in each of many draws every run is scored on the same images, their
counts are summed, and the figures follow from the sums, as those of the whole set do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from evaluation.imagecounts import ImageCounts, figures

DRAWS = 2000
_AT_ONCE = 1 << 22  # weights that are held at a time


def weights(images: int, draws: int = DRAWS, seed: int = 0) -> Iterator[np.ndarray]:
    """Give how often each image is in each draw, (some draws, images) float64 at a time, `draws` in all."""
    rng, step = np.random.default_rng(seed), max(1, _AT_ONCE // images)
    for first in range(0, draws, step):
        size = min(step, draws - first)
        yield rng.multinomial(images, np.full(images, 1 / images), size).astype(np.float64)


def drawn_figures(runs: Sequence[ImageCounts], draws: int = DRAWS, seed: int = 0) -> np.ndarray:
    """Give the mean over runs of each figure in each draw, (draws, figures); the same seed draws the same images."""
    tables, parts = [run.table() for run in runs], []
    for weight in weights(len(tables[0]), draws, seed):
        found = [figures(weight @ table, run.classes) for table, run in zip(tables, runs, strict=True)]
        parts.append(mean_of(np.stack(found)))
    return np.concatenate(parts)


def mean_of(values: np.ndarray) -> np.ndarray:
    """(n, ...) -> (...): the mean of the defined ones, NaN where there are none."""
    defined = ~np.isnan(values)
    count = defined.sum(0)
    return np.divide(np.where(defined, values, 0).sum(0), count, out=np.full(count.shape, np.nan), where=count > 0)


def interval(differences: np.ndarray, share: float = 0.95) -> np.ndarray:
    """(draws, figures) -> (2, figures): between which the middle `share` of the draws lies; NaN where there is none."""
    tails, found = [(1 - share) / 2, (1 + share) / 2], np.full((2, differences.shape[1]), np.nan)
    whole = ~np.isnan(differences).any(0)
    found[:, whole] = np.quantile(differences[:, whole], tails, axis=0)
    for column in np.flatnonzero(~whole):
        defined = differences[~np.isnan(differences[:, column]), column]
        if len(defined):
            found[:, column] = np.quantile(defined, tails)
    return found


def deviation(differences: np.ndarray) -> np.ndarray:
    """(draws, figures) -> (figures,): their standard deviation over the draws; NaN where fewer than two are defined."""
    defined = ~np.isnan(differences)
    count = defined.sum(0)
    apart = np.where(defined, differences - mean_of(differences), 0)
    return np.sqrt(np.divide((apart**2).sum(0), count - 1, out=np.full(count.shape, np.nan), where=count > 1))
