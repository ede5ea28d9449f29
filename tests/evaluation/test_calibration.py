"""Calibration: bins, their error, and the temperature that makes the truth most likely."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation import calibration
from evaluation.calibration import BINS, bin_counts, calibration_error, crossed_bins, fit_temperature, reliability


def pixels(temperature: float, count: int = 20_000, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn from their softmax at a temperature: what a fit has to find."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (count, classes)).astype(np.float32)
    p = np.exp(logits / temperature)
    chosen = (rng.random((count, 1)) > np.cumsum(p / p.sum(1, keepdims=True), 1)).sum(1)
    return logits, np.minimum(chosen, classes - 1).astype(np.uint8)


def test_bins_and_their_error_by_hand() -> None:
    bins = bin_counts(np.array([0.95, 0.97, 0.35, 1.0]), np.array([True, False, True, True]))
    assert bins.shape == (BINS, 3) and bins[-1].tolist() == pytest.approx([3, 2.92, 2])
    assert bins[5].tolist() == pytest.approx([1, 0.35, 1]) and bins.sum(0)[0] == 4
    assert calibration_error(bins) == pytest.approx((0.92 + 0.65) / 4)
    assert reliability(bins) == [(pytest.approx(0.35), 1), (pytest.approx(2.92 / 3), pytest.approx(2 / 3))]
    both = calibration_error(np.stack([bins, np.zeros_like(bins)]))
    assert both[0] == pytest.approx(0.3925) and np.isnan(both[1])


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_drew_the_labels_is_found(temperature: float) -> None:
    logits, truth = pixels(temperature)
    found = fit_temperature(logits, truth)
    assert found == pytest.approx(temperature, rel=0.05)
    likelihoods = [calibration.likelihood_and_bins(logits, truth, found * x)[0] for x in (0.97, 1, 1.03)]
    assert min(likelihoods) == likelihoods[1]


def test_a_temperature_of_the_other_half_mends_the_error() -> None:
    logits, truth = pixels(2.5)
    before = calibration.likelihood_and_bins(logits, truth, 1.0)[1]
    after = crossed_bins(logits, truth, np.arange(len(truth)) % 2 == 0)
    assert after[:, 0].sum() == before[:, 0].sum() == len(truth)
    assert after[:, 2].sum() == before[:, 2].sum()  # no class has changed
    assert calibration_error(before) > 0.1 and calibration_error(after) < 0.02


def test_ends_of_the_range(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "_AT_ONCE", 8)  # in several parts
    logits = np.array([[0.0, 5.0], [5.0, 0.0], [4.0, 0.0]])
    assert fit_temperature(logits, np.array([1, 0, 0])) == pytest.approx(
        calibration.LOWEST
    )  # always right: never unsure
    assert fit_temperature(logits, np.array([0, 1, 1])) == pytest.approx(calibration.HIGHEST)
    assert fit_temperature(np.zeros((0, 2)), np.zeros(0)) == 1
