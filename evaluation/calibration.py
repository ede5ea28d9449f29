"""Whether a network is as often right as it is sure: reliability by bins, their error, and a temperature that mends it.

Guo et al. 2017, arXiv:1706.04599. The scores are divided by one number, the temperature, before the softmax; above 1 a
network becomes less sure. It is the one for which the truth is most likely. The class of a pixel stays as it is.

M pixels, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

BINS = 15  # of the largest probability, of equal width, as in the paper
LOWEST, HIGHEST = 0.05, 20.0  # between which a temperature is looked for
_STEPS = 22  # halvings of that range
_AT_ONCE = 1 << 21  # numbers that a pass over the scores holds


def bin_counts(probability: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Sum (BINS, 3) float64 of pixels (M,): how many, their probabilities, how many are right."""
    where = np.minimum((probability * BINS).astype(np.int64), BINS - 1)
    parts = (np.ones(len(where)), probability, right)
    return np.stack([np.bincount(where, part, minlength=BINS) for part in parts], axis=1)


def calibration_error(bins: np.ndarray) -> np.ndarray:
    """Give the expected calibration error, in 0..1, of (..., BINS, 3): by how much, in the mean over the pixels, the
    probability of a bin and its share of right pixels differ. NaN without pixels.
    """
    total = bins[..., 0].sum(-1)
    apart = np.abs(bins[..., 2] - bins[..., 1]).sum(-1)
    return np.divide(apart, total, out=np.full(np.shape(total), np.nan), where=total > 0)


def reliability(bins: np.ndarray) -> list[tuple[float, float]]:
    """Give (mean probability, share of right pixels) of the bins (BINS, 3) that have any."""
    return [(mean / count, right / count) for count, mean, right in bins.tolist() if count > 0]


def fit_temperature(logits: np.ndarray, label: np.ndarray) -> float:
    """Find the temperature under which `label` (M,) is most likely by `logits` (M, K).

    The mean negative log-likelihood is convex in 1 / temperature: its slope is followed to where it vanishes. 1 without
    pixels, and an end of the range where the likelihood rises up to there.
    """
    if not len(label):
        return 1.0
    low, high = np.log(1 / HIGHEST), np.log(1 / LOWEST)  # of the logarithm of 1 / temperature
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if _slope(logits, label, float(np.exp(middle))) > 0 else (middle, high)
    return float(np.exp(-(low + high) / 2))


def _slope(logits: np.ndarray, label: np.ndarray, factor: float) -> float:
    """Sum the derivatives of the negative log-likelihood by `factor`, 1 / temperature."""
    total = 0.0
    for part, truth in _parts(logits, label):
        p = _softmax(part * factor)
        total += float((p * part).sum() - np.take_along_axis(part, truth[:, None], 1).sum())
    return total


def likelihood_and_bins(logits: np.ndarray, label: np.ndarray, temperature: float) -> tuple[float, np.ndarray]:
    """Give the mean negative log-likelihood of pixels at a temperature, and their bins (BINS, 3)."""
    total, bins = 0.0, np.zeros((BINS, 3))
    for part, truth in _parts(logits, label):
        p = _softmax(part / temperature)
        total -= float(np.log(np.maximum(np.take_along_axis(p, truth[:, None], 1), 1e-30)).sum())
        bins += bin_counts(p.max(1), p.argmax(1) == truth)
    return total / max(1, len(label)), bins


def crossed_bins(logits: np.ndarray, label: np.ndarray, half: np.ndarray) -> np.ndarray:
    """Give the bins (BINS, 3) after a temperature that other images have told: each half's by the other half.

    `half` (M,) bool: the half of the images that a pixel is of.
    """
    bins = np.zeros((BINS, 3))
    for mine in (half, ~half):
        temperature = fit_temperature(logits[~mine], label[~mine])
        bins += likelihood_and_bins(logits[mine], label[mine], temperature)[1]
    return bins


def _softmax(logits: np.ndarray) -> np.ndarray:
    e = np.exp(logits - logits.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def _parts(logits: np.ndarray, label: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Cut pixels into parts that memory minds little: (m, K) float32 and (m,) int64."""
    step = max(1, _AT_ONCE // max(1, logits.shape[1]))
    for first in range(0, len(label), step):
        yield logits[first : first + step].astype(np.float32), label[first : first + step].astype(np.int64)
